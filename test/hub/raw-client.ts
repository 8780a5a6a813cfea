import { connect, type Socket } from "node:net";

/** u32 length, type, body. */
export function frame(type: number, ...parts: readonly (Buffer | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length + 1);
  head[4] = type;
  return Buffer.concat([head, body]);
}

export function u64(...ids: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 * ids.length);
  for (const [index, id] of ids.entries()) bytes.writeBigUInt64BE(BigInt(id), 8 * index);
  return bytes;
}

/** A relay of version 1. */
export function relay(receivers: readonly number[], payload: Buffer | string): Buffer {
  return frame(3, Buffer.of(receivers.length), u64(...receivers), payload);
}

/** A hello of version 2. */
export function hello(
  name = "",
  options: { features?: number; token?: string; version?: number } = {},
): Buffer {
  const bytes = Buffer.from(name);
  const head = Buffer.of(options.version ?? 2, options.features ?? 0, bytes.length);
  return frame(16, head, bytes, options.token ?? "");
}

export interface Received {
  readonly type: number;
  readonly body: Buffer;
}

/** Splits complete frames off a byte stream; written independently of the hub's parser, to check it. */
export function splitFrames(bytes: Buffer): { frames: Received[]; rest: Buffer } {
  const frames: Received[] = [];
  let at = 0;
  while (bytes.length - at >= 4 && bytes.length - at >= 4 + bytes.readUInt32BE(at)) {
    const end = at + 4 + bytes.readUInt32BE(at);
    frames.push({ type: bytes[at + 4]!, body: bytes.subarray(at + 5, end) });
    at = end;
  }
  return { frames, rest: bytes.subarray(at) };
}

/** A client that knows bytes and frames only, as the seed's clients do. */
export class RawClient {
  readonly frames: Received[] = [];
  bytesReceived = 0;
  closed = false;
  #chunks: Buffer[] = [];
  #held = 0;
  #wanted = 4;
  #waiting: (() => void)[] = [];

  readonly socket: Socket;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.bytesReceived += chunk.length;
      this.#chunks.push(chunk);
      this.#held += chunk.length;
      this.#wake();
      // Put together only when a frame is whole: large frames come in many chunks.
      if (this.#held < this.#wanted) return;
      const { frames, rest } = splitFrames(Buffer.concat(this.#chunks));
      this.#chunks = [rest];
      this.#held = rest.length;
      this.#wanted = rest.length < 4 ? 4 : 4 + rest.readUInt32BE(0);
      this.frames.push(...frames);
      this.#wake();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
      this.#wake();
    });
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new RawClient(socket);
  }

  send(...frames: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  /** Waits until that holds, for 20 s at most. */
  async until(holds: () => boolean, what = "a state"): Promise<void> {
    const deadlineMs = Date.now() + 20_000;
    while (!holds()) {
      const leftMs = deadlineMs - Date.now();
      if (leftMs <= 0) throw new Error(`waited in vain for ${what}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(leftMs, 100));
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** The next frame, taken off. */
  async next(): Promise<Received> {
    await this.until(() => this.frames.length > 0 || this.closed, "a frame");
    const first = this.frames.shift();
    if (first === undefined) throw new Error("closed before a frame came");
    return first;
  }

  async identity(): Promise<number> {
    this.send(frame(1));
    const { type, body } = await this.next();
    if (type !== 1) throw new Error(`answer of type ${type}`);
    return Number(body.readBigUInt64BE(0));
  }

  async list(): Promise<number[]> {
    this.send(frame(2));
    const { body } = await this.next();
    return Array.from({ length: body.length / 8 }, (_, index) => Number(body.readBigUInt64BE(8 * index)));
  }

  async untilClosed(): Promise<void> {
    await this.until(() => this.closed, "the end of the connection");
  }

  close(): void {
    this.socket.destroy();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
