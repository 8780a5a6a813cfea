import { createReadStream } from "node:fs";
import { HubcastError } from "../core/errors.js";

/** The largest payload of a hub. */
const PAYLOAD_BYTES_MAX = 1_024_000;

/**
 * The payload of a message, any bytes, from where the command line says: the argument, `--file`, or standard input
 * (`-`, or nothing else given and something is piped in).
 * @throws usage, tooLarge
 */
export async function readPayload(argument: string | undefined, file: string | undefined): Promise<Buffer> {
  if (argument !== undefined && file !== undefined) {
    throw new HubcastError("usage", "PAYLOAD and --file were both given", {
      suggestions: ["Give one of them."],
    });
  }
  if (argument !== undefined && argument !== "-") return checked(Buffer.from(argument), "PAYLOAD");
  if (file === undefined && argument === undefined && process.stdin.isTTY) {
    throw new HubcastError("usage", "there is nothing to send", {
      suggestions: ["Give it as an argument, with --file PATH, or pipe it in."],
    });
  }
  const source = file ?? "standard input";
  const stream: AsyncIterable<Buffer> = file === undefined ? process.stdin : createReadStream(file);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of stream) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > PAYLOAD_BYTES_MAX) break;
    }
  } catch (error) {
    throw new HubcastError("usage", `cannot read ${source}: ${(error as Error).message}`, { cause: error });
  }
  return checked(Buffer.concat(chunks), source);
}

function checked(bytes: Buffer, source: string): Buffer {
  if (bytes.length <= PAYLOAD_BYTES_MAX) return bytes;
  throw new HubcastError(
    "tooLarge",
    `${source} has more than ${PAYLOAD_BYTES_MAX} bytes, the limit of a message`,
    {
      suggestions: ["Send it in parts."],
    },
  );
}
