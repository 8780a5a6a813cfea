import type { Socket } from "node:net";
import type { PacedCalls } from "../runtime/paced-calls.js";
import { HUB_LIMITS } from "./machine/limits.js";
import type { HubMachine } from "./machine/machine.js";
import type { SessionView } from "./machine/session.js";

/** How long a connection that is ended may take to write its last bytes. */
const LINGER_MS = 2_000;

/** The socket of one session: bytes in both directions. */
export class Connection {
  /** Remote `host:port`. */
  readonly address: string;
  /** The number of writes handed to the socket, and how many of them the kernel has taken. */
  #writes = 0;
  #written = 0;
  #waitsForKernel = false;
  #waitsForTurn = false;
  #ending = false;
  #linger: NodeJS.Timeout | undefined;

  constructor(
    readonly socket: Socket,
    readonly session: SessionView,
    private readonly machine: HubMachine,
    private readonly turn: WriteTurn,
    private readonly nowMs: () => number,
    /** Called after each input to the machine. */
    private readonly carryOut: () => void,
    endings: PacedCalls,
  ) {
    this.address = remoteOf(socket);
    socket.on("data", this.#onData);
    const ended = (): void => {
      machine.handle({ type: "ended", session }, nowMs());
      carryOut();
    };
    socket.on("end", () => endings.add([ended]));
    // 'close' always follows, so connection errors are not logged.
    socket.on("error", () => {});
  }

  /** Writes the outbox, oldest first, while the kernel takes everything at once and the turn lasts. */
  flush(): void {
    if (this.#waitsForKernel || this.#waitsForTurn) return;
    const { session, socket } = this;
    if (socket.destroyed || socket.writableEnded) return;
    while (session.outbox.bytes > 0) {
      if (!this.turn.admits(this)) {
        this.#waitsForTurn = true;
        return;
      }
      this.#write(this.machine.takeBatch(session, this.nowMs()));
      this.turn.wrote(session.outbox.flightBytes);
      if (socket.writableLength > 0) {
        this.#waitsForKernel = true;
        return;
      }
      this.machine.handle({ type: "sent", session, atOnce: true }, this.nowMs());
    }
    if (this.#ending) this.#finish();
  }

  resume(): void {
    this.#waitsForTurn = false;
    this.flush();
  }

  /** A paused stream still delivers one chunk. A parked session pauses in `#onData`, which puts that chunk back. */
  setReading(reading: boolean): void {
    if (reading) this.socket.resume();
    else if (!this.session.parked) this.socket.pause();
  }

  /** Ends the connection once the outbox is written. */
  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#linger = setTimeout(() => this.socket.destroy(), LINGER_MS);
    this.flush();
  }

  cut(): void {
    this.socket.destroy();
  }

  release(): void {
    clearTimeout(this.#linger);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.session.parked) {
      this.socket.pause();
      // A stream that has something stops reading at once.
      this.socket.unshift(this.machine.park(chunk));
      return;
    }
    this.machine.handle({ type: "received", session: this.session, chunk }, this.nowMs());
    this.carryOut();
  };

  readonly #onWritten = (): void => {
    this.#written += 1;
    if (!this.#waitsForKernel || this.#written !== this.#writes || this.socket.destroyed) return;
    this.#waitsForKernel = false;
    this.#linger?.refresh();
    this.machine.handle({ type: "sent", session: this.session, atOnce: false }, this.nowMs());
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

interface Writer {
  /** Its turn has come. */
  resume(): void;
}

/**
 * Limits the bytes written in one turn of the event loop. The kernel takes some MiB for each receiver, and hundreds
 * of receivers may have room at the same time: without a limit, nothing is read and no timer fires for half a second.
 */
export class WriteTurn {
  #bytesLeft: number = HUB_LIMITS.turnWriteBytesMax;
  #waiting: Writer[] = [];

  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether the writer may write now; otherwise it resumes in a later turn, behind those that wait already. */
  admits(writer: Writer): boolean {
    if (this.#bytesLeft > 0) return true;
    this.#waiting.push(writer);
    return false;
  }

  wrote(bytes: number): void {
    this.#bytesLeft -= bytes + HUB_LIMITS.turnWriteBytes;
  }

  /** A new turn begins: waiting writers resume, in their order. */
  begin(): void {
    this.#bytesLeft = HUB_LIMITS.turnWriteBytesMax;
    const waiting = this.#waiting;
    this.#waiting = [];
    let reached = 0;
    while (reached < waiting.length && this.#bytesLeft > 0) waiting[reached++]!.resume();
    // Writers that exceed the turn come behind those that were not reached.
    this.#waiting = [...waiting.slice(reached), ...this.#waiting];
  }
}

/** `host:port` of the other end; `?:0` when it is gone. */
export function remoteOf({ remoteAddress = "?", remotePort = 0 }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}
