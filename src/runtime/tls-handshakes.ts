import type { Socket } from "node:net";
import type { Server, TLSSocket } from "node:tls";
import { turnsOf } from "./paced-calls.js";

/** With an RSA key of 2,048 bits a handshake takes 1 to 2 ms, and a request of somebody else several turns. */
const TURNS_PER_HANDSHAKE = 3;

/**
 * Lets the handshakes of a TLS server begin one in several turns of the event loop, each when its client has sent something.
 * A stranger has them for one packet each, and may send hundreds at the same moment.
 * @param timeoutMs how long a client may send nothing
 */
export function paceHandshakes(server: Server, timeoutMs: number): void {
  const [shakeHands, another] = server.listeners("connection") as ((socket: Socket) => void)[];
  // A test sees to it that node:tls sets one listener.
  if (shakeHands === undefined || another !== undefined) return;
  const turn = turnsOf(1, TURNS_PER_HANDSHAKE - 1);
  server.off("connection", shakeHands).on("connection", (socket: Socket) => {
    const giveUp = () => {
      server.emit("tlsClientError", new Error("it sends nothing"), socket as TLSSocket);
      socket.destroy();
    };
    const timer = setTimeout(giveUp, timeoutMs);
    // Its close follows.
    const ignore = () => {};
    socket.on("error", ignore);
    socket.once("close", () => clearTimeout(timer));
    socket.once("readable", async () => {
      clearTimeout(timer);
      await turn();
      socket.off("error", ignore);
      if (!socket.destroyed) shakeHands.call(server, socket);
    });
  });
}
