import type { Socket } from "node:net";
import type { HubMachine } from "./protocol/hub-machine.js";
import type { Session } from "./protocol/session.js";
import type { WriteTurn } from "./write-turn.js";

/** How long a connection that is ended politely may take to take its last bytes. */
const LINGER_MS = 2_000;

/** One socket and its session: bytes both ways. What they mean is the machine's business. */
export class Connection {
  /** Remote `host:port`. */
  readonly address: string;
  /** Writes handed to the socket, and those of them that the kernel has taken. */
  #writes = 0;
  #written = 0;
  #waitsForKernel = false;
  #waitsForTurn = false;
  #ending = false;
  #linger: NodeJS.Timeout | undefined;

  constructor(
    readonly socket: Socket,
    readonly session: Session,
    private readonly machine: HubMachine,
    private readonly turn: WriteTurn,
    private readonly nowMs: () => number,
    /** To be called after the machine was told something. */
    private readonly carryOut: () => void,
  ) {
    this.address = `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? 0}`;
    socket.on("data", this.#onData);
    socket.on("end", () => {
      machine.ended(session, nowMs());
      carryOut();
    });
    // An error is always followed by `close`, and a lost connection is nothing to shout about.
    socket.on("error", () => {});
  }

  /** Hands what is queued to the kernel, oldest first, while it takes everything at once and the turn lasts. */
  flush(): void {
    if (this.#waitsForKernel || this.#waitsForTurn) return;
    const { session, socket } = this;
    if (socket.destroyed || socket.writableEnded) return;
    while (session.outbox.bytes > 0) {
      if (!this.turn.admits(this)) {
        this.#waitsForTurn = true;
        return;
      }
      this.#write(session.outbox.take(this.nowMs()));
      this.turn.wrote(session.outbox.flightBytes);
      if (socket.writableLength > 0) {
        this.#waitsForKernel = true;
        return;
      }
      this.machine.sent(session, this.nowMs(), true);
    }
    if (this.#ending) this.#finish();
  }

  /** A turn has come in which it may write. */
  goOn(): void {
    this.#waitsForTurn = false;
    this.flush();
  }

  setReading(reading: boolean): void {
    if (reading) this.socket.resume();
    else this.socket.pause();
  }

  /** Ends the connection once everything queued is written. */
  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#linger = setTimeout(() => this.socket.destroy(), LINGER_MS);
    this.flush();
  }

  cut(): void {
    this.socket.destroy();
  }

  /** The socket is closed. */
  release(): void {
    clearTimeout(this.#linger);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.machine.received(this.session, chunk, this.nowMs());
    this.carryOut();
  };

  readonly #onWritten = (): void => {
    this.#written += 1;
    if (!this.#waitsForKernel || this.#written !== this.#writes || this.socket.destroyed) return;
    this.#waitsForKernel = false;
    this.#linger?.refresh();
    this.machine.sent(this.session, this.nowMs(), false);
    this.flush();
    this.carryOut();
  };

  #write(vectors: readonly Buffer[]): void {
    const { socket } = this;
    this.#writes += 1;
    const last = vectors.length - 1;
    if (last === 0) {
      socket.write(vectors[0]!, this.#onWritten);
      return;
    }
    socket.cork();
    for (let index = 0; index < last; index += 1) socket.write(vectors[index]!);
    socket.write(vectors[last]!, this.#onWritten);
    socket.uncork();
  }

  #finish(): void {
    if (this.session.outbox.bytes === 0) this.socket.end();
  }
}
