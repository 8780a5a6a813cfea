import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { frame, type Received, splitFrames, u64 } from "../hub/raw-client.js";

/** The payloads that a faulty hub sends in place of one delivery. @param count of deliveries before it */
export type Fault = (payload: Buffer, count: number) => readonly Buffer[];

/** Version 1 of the protocol in a few lines, slow, and wrong as it is told to be. */
export class FaultyHub {
  readonly #sockets = new Map<number, Socket>();
  #count = 0;
  #server: Server | undefined;

  constructor(
    private readonly fault: Fault,
    /** Closes the connection of a client when it asks this type of question. */
    private readonly closesAt = 0,
  ) {}

  async listen(): Promise<number> {
    this.#server = createServer((socket) => this.#welcome(socket)).listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as { port: number }).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.values()) socket.destroy();
    this.#server?.close();
  }

  #welcome(socket: Socket): void {
    const id = this.#sockets.size + 1;
    this.#sockets.set(id, socket);
    let rest: Buffer = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      const split = splitFrames(Buffer.concat([rest, chunk]));
      rest = split.rest;
      for (const received of split.frames) this.#answer(id, socket, received);
    });
  }

  #answer(id: number, socket: Socket, { type, body }: Received): void {
    if (type === this.closesAt) socket.destroy();
    else if (type === 1) socket.write(frame(1, u64(id)));
    else if (type === 2)
      socket.write(frame(2, u64(...[...this.#sockets.keys()].filter((other) => other !== id))));
    else if (type === 3) this.#relay(body);
  }

  #relay(body: Buffer): void {
    const receivers = body[0]!;
    const payload = body.subarray(1 + 8 * receivers);
    for (let index = 0; index < receivers; index += 1) {
      const receiver = this.#sockets.get(Number(body.readBigUInt64BE(1 + 8 * index)))!;
      for (const sent of this.fault(payload, this.#count++)) receiver.write(frame(3, sent));
    }
  }
}
