import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** Another address of a hub: passes bytes on, both ways, and counts connections. */
export class Door {
  connections = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  constructor(port: number) {
    this.#server = createServer((outside) => {
      this.connections += 1;
      const inside = connect(port, "127.0.0.1");
      outside.pipe(inside).pipe(outside);
      for (const socket of [outside, inside]) {
        this.#sockets.add(socket);
        socket.on("error", () => {});
      }
    });
  }

  /** @returns `host:port` */
  async open(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}
