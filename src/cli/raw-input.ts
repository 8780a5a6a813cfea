import { isUtf8 } from "node:buffer";
import { createReadStream } from "node:fs";
import { HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";

/**
 * The raw of an item, from where the command line says: the argument, `--file`, or standard input (`-`, or nothing
 * else given and something is piped in). Bytes are taken as they are; a last line break stays.
 * @throws usage, tooLarge, invalidItem
 */
export async function readRaw(argument: string | undefined, file: string | undefined): Promise<string> {
  if (argument !== undefined && file !== undefined) {
    throw new HubcastError("usage", "RAW and --file were both given", { suggestions: ["Give one of them."] });
  }
  if (argument !== undefined && argument !== "-") return checked(Buffer.from(argument), "RAW");
  if (file !== undefined) return checked(await readAtMost(createReadStream(file), file), file);
  if (argument === undefined && process.stdin.isTTY) {
    throw new HubcastError("usage", "there is nothing to post", {
      suggestions: [
        'Give it as an argument: hubcast broadcast post "text"',
        "Or with --file PATH, or pipe it in.",
      ],
    });
  }
  return checked(await readAtMost(process.stdin, "standard input"), "standard input");
}

/** Stops one chunk past the limit: /dev/zero and a disk image fail as fast as a file that is just too long. */
async function readAtMost(stream: AsyncIterable<Buffer>, source: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of stream) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > LIMITS.rawBytesMax) break;
    }
  } catch (error) {
    const { message } = error as Error;
    throw new HubcastError("usage", `cannot read ${source}: ${message}`, { cause: error });
  }
  return Buffer.concat(chunks);
}

function checked(bytes: Buffer, source: string): string {
  if (bytes.length === 0) {
    throw new HubcastError("invalidItem", `${source} is empty`, { suggestions: ["Post at least one byte."] });
  }
  if (bytes.length > LIMITS.rawBytesMax) {
    throw new HubcastError(
      "tooLarge",
      `${source} has more than ${LIMITS.rawBytesMax} bytes, the limit of an item`,
      {
        suggestions: ["Post a link or a digest of it instead, or split it."],
      },
    );
  }
  if (bytes.includes(0)) throw binary(`${source} looks binary: it has a NUL byte`);
  if (!isUtf8(bytes)) throw binary(`${source} looks binary: it is not valid UTF-8`);
  return bytes.toString();
}

function binary(message: string): HubcastError {
  return new HubcastError("invalidItem", message, {
    suggestions: ["Items are text: encode it first, for example with base64."],
  });
}
