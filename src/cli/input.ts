import { isUtf8 } from "node:buffer";
import { createReadStream } from "node:fs";
import { HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";

/** The largest payload of a hub. */
const PAYLOAD_BYTES_MAX = 1_024_000;
const LINE_BREAK = 10;

/**
 * The raw of an item, from where the command line says: the argument, `--file`, or standard input (`-`, or nothing
 * else given and something is piped in). Bytes are taken as they are; a last line break stays.
 * @throws usage, tooLarge, invalidItem
 */
export async function readRaw(argument: string | undefined, file: string | undefined): Promise<string> {
  const { bytes, source } = await readInput(argument, file, {
    name: "RAW",
    bytesMax: LIMITS.rawBytesMax,
    nothing: "there is nothing to post",
    suggestions: [
      'Give it as an argument: hubcast broadcast post "text"',
      "Or with --file PATH, or pipe it in.",
    ],
  });
  if (bytes.length === 0) {
    throw new HubcastError("invalidItem", `${source} is empty`, { suggestions: ["Post at least one byte."] });
  }
  if (bytes.length > LIMITS.rawBytesMax) {
    throw new HubcastError(
      "tooLarge",
      `${source} has more than ${LIMITS.rawBytesMax} bytes, the limit of an item`,
      { suggestions: ["Post a link or a digest of it instead, or split it."] },
    );
  }
  if (bytes.includes(0)) throw binary(`${source} looks binary: it has a NUL byte`);
  if (!isUtf8(bytes)) throw binary(`${source} looks binary: it is not valid UTF-8`);
  return bytes.toString();
}

/** The payload of a message, any bytes, from the same places. @throws usage, tooLarge, and the reason of `signal` */
export async function readPayload(
  argument: string | undefined,
  file: string | undefined,
  signal: AbortSignal,
): Promise<Buffer> {
  const wanted = {
    name: "PAYLOAD",
    bytesMax: PAYLOAD_BYTES_MAX,
    nothing: "there is nothing to send",
    suggestions: ["Give it as an argument, with --file PATH, or pipe it in."],
  };
  const { bytes, source } = await readInput(argument, file, wanted, signal);
  return asPayload(bytes, source);
}

/**
 * The lines of a file or of standard input as they come, any bytes, without their line breaks; empty ones too.
 * @throws usage, tooLarge
 */
export async function* readLines(file: string | undefined, signal: AbortSignal): AsyncGenerator<Buffer> {
  const source = file ?? "standard input";
  let rest: Buffer = Buffer.alloc(0);
  let lines = 0;
  for await (const chunk of readChunks(file, signal)) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(LINE_BREAK); end >= 0; end = rest.indexOf(LINE_BREAK)) {
      lines += 1;
      yield asPayload(rest.subarray(0, end), `line ${lines} of ${source}`);
      rest = rest.subarray(end + 1);
    }
    asPayload(rest, `line ${lines + 1} of ${source}`);
  }
  if (rest.length > 0) yield rest;
}

/** The bytes of a file or of standard input as they come. @throws usage, and the reason of `signal` */
export async function* readChunks(file: string | undefined, signal?: AbortSignal): AsyncGenerator<Buffer> {
  signal?.throwIfAborted();
  const stream = file === undefined ? process.stdin : createReadStream(file);
  // The next bytes may never come: the end of the command ends the wait for them.
  signal?.addEventListener("abort", () => stream.destroy(), { once: true });
  try {
    yield* stream as AsyncIterable<Buffer>;
  } catch (error) {
    signal?.throwIfAborted();
    throw unreadable(file ?? "standard input", error as Error);
  }
  signal?.throwIfAborted();
}

interface Wanted {
  /** The argument, as help calls it. */
  readonly name: string;
  /** Reading stops one chunk past this: /dev/zero fails as fast as a file that is just too long. */
  readonly bytesMax: number;
  readonly nothing: string;
  readonly suggestions: readonly string[];
}

async function readInput(
  argument: string | undefined,
  file: string | undefined,
  { name, bytesMax, nothing, suggestions }: Wanted,
  signal?: AbortSignal,
): Promise<{ readonly bytes: Buffer; readonly source: string }> {
  if (argument !== undefined && file !== undefined) {
    throw new HubcastError("usage", `${name} and --file were both given`, {
      suggestions: ["Give one of them."],
    });
  }
  if (argument !== undefined && argument !== "-") return { bytes: Buffer.from(argument), source: name };
  if (file === undefined && argument === undefined && process.stdin.isTTY)
    throw new HubcastError("usage", nothing, { suggestions });
  const chunks: Buffer[] = [];
  let read = 0;
  for await (const chunk of readChunks(file, signal)) {
    chunks.push(chunk);
    read += chunk.length;
    if (read > bytesMax) break;
  }
  return { bytes: Buffer.concat(chunks), source: file ?? "standard input" };
}

function asPayload(bytes: Buffer, source: string): Buffer {
  if (bytes.length <= PAYLOAD_BYTES_MAX) return bytes;
  throw new HubcastError(
    "tooLarge",
    `${source} has more than ${PAYLOAD_BYTES_MAX} bytes, the limit of a message`,
    { suggestions: ["Send it in parts."] },
  );
}

function unreadable(source: string, cause: Error): HubcastError {
  return new HubcastError("usage", `cannot read ${source}: ${cause.message}`, { cause });
}

function binary(message: string): HubcastError {
  return new HubcastError("invalidItem", message, {
    suggestions: ["Items are text: encode it first, for example with base64."],
  });
}
