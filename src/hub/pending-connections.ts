import type { Socket } from "node:net";
import { remoteOf } from "./connection.js";
import type { SessionView } from "./machine/session.js";

/**
 * Connections that may be no clients yet: in their TLS handshake, or before the hello that a token or a full hub wants.
 * They take places that clients need, and anybody can have them.
 */
export class PendingConnections {
  /** By address, oldest first. Those that are clients meanwhile are left out when they are met. */
  readonly #pending = new Map<string, { readonly socket: Socket; session?: SessionView }>();
  #open = 0;

  constructor(
    /** The most connections that are open at the same time, clients among them. */
    private readonly openMax: number,
    /** Called before a connection is cut. */
    private readonly onCut: (session: SessionView | undefined) => void,
  ) {}

  /** A connection is accepted. When it takes the last place, the oldest pending one makes room for the next. */
  accepted(socket: Socket): void {
    const address = remoteOf(socket);
    this.#open += 1;
    this.#pending.set(address, { socket });
    socket.once("close", () => {
      this.#open -= 1;
      if (this.#pending.get(address)?.socket === socket) this.#pending.delete(address);
    });
    if (this.#open >= this.openMax) this.#cutOldest();
  }

  /** The connection from that address has a session. */
  began(address: string, session: SessionView): void {
    const pending = this.#pending.get(address);
    if (pending !== undefined) pending.session = session;
  }

  cutAll(): void {
    for (const { socket } of this.#pending.values()) socket.destroy();
  }

  #cutOldest(): void {
    for (const [address, { socket, session }] of this.#pending) {
      this.#pending.delete(address);
      if (session !== undefined && (session.listed || !session.open)) continue;
      this.onCut(session);
      socket.destroy();
      return;
    }
  }
}
