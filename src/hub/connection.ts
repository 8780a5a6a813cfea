import { createReadStream } from "node:fs";
import type { Socket } from "node:net";
import { nowMs } from "../runtime/runner.js";
import type { PacedCalls } from "../runtime/turns.js";
import { HUB_LIMITS } from "./machine/limits.js";
import type { HubMachine } from "./machine/machine.js";
import type { SessionView } from "./machine/session.js";
import type { CompleteHubOptions } from "./option-kinds.js";

/** How long a client that is told to go may take nothing, and how long any end may take once all is written. */
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
    // A client that ended by itself gets all that is queued: the machine has its deadlines.
    if (this.session.closeReason !== "clientClosed") this.#startLinger();
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
      this.socket.unshift(this.machine.park(this.session, chunk));
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
    this.socket.end();
    // The client's own end may be behind bytes that nobody wants.
    this.socket.off("data", this.#onData).resume();
    this.#startLinger();
  }

  #startLinger(): void {
    this.#linger ??= setTimeout(() => this.socket.destroy(), LINGER_MS);
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

/**
 * Tells the machine how many bytes the peers of silent clients of version 1 have not acknowledged: they have no
 * pings, and nothing else shows that a peer is gone.
 * @returns a timer for `clearInterval`
 */
export function watchUnacknowledged(
  connections: () => Iterable<Connection>,
  machine: HubMachine,
  port: number,
  { progressTimeoutMs }: CompleteHubOptions,
): NodeJS.Timeout {
  const intervalMs = Math.min(HUB_LIMITS.unacknowledgedLookMs, progressTimeoutMs / 4);
  const isSilent = ({ session }: Connection): boolean => {
    if (session.version > 1 || session.outbox.bytesOut === 0) return false;
    return session.notTakenSinceMs > 0 || nowMs() - session.heardAtMs >= intervalMs;
  };
  const check = async (): Promise<void> => {
    const silent = [...connections()].filter(isSilent);
    if (silent.length === 0) return;
    const bytes = await unacknowledged(port);
    for (const { session, address } of silent)
      machine.handle({ type: "unacknowledged", session, bytes: bytes.get(address) ?? 0 }, nowMs());
  };
  return setInterval(() => void check(), intervalMs).unref();
}

/**
 * Bytes in the kernel that peers have not acknowledged, by remote `host:port`; connections without any are left out.
 * Node does not report these. Linux; empty elsewhere.
 * @param port of this side
 */
export async function unacknowledged(port: number, tables = TABLES): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const table of tables) {
    let rest = "";
    try {
      // A part in each turn of the event loop: anybody can leave 100,000 lines there, of connections that ended in the last minute.
      for await (const part of createReadStream(table, "utf8")) {
        const text = rest + part;
        rest = text.slice(text.lastIndexOf("\n") + 1);
        for (const { remote, bytes } of unacknowledgedIn(text.slice(0, text.length - rest.length), port))
          found.set(remote, bytes);
      }
    } catch {
      // Nothing is known.
    }
  }
  return found;
}

const TABLES: readonly string[] = ["/proc/net/tcp", "/proc/net/tcp6"];
const NOTHING_QUEUED = " 00000000:";

/** Lines of proc(5) `net/tcp`: number, local address, remote address, state, tx_queue:rx_queue, all in hex. */
export function* unacknowledgedIn(table: string, port: number): Iterable<{ remote: string; bytes: number }> {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  for (const line of table.split("\n")) {
    if (!line.includes(local) || line.includes(NOTHING_QUEUED)) continue;
    const [, from, to, , queues] = line.trim().split(/\s+/);
    const bytes = Number.parseInt(queues?.split(":")[0] ?? "0", 16);
    if (bytes > 0 && to !== undefined && `${from} `.endsWith(local)) yield { remote: addressOf(to), bytes };
  }
}

/** `0100007F:1F90` is 127.0.0.1:8080: each four bytes are a number of this machine, little-endian. */
function addressOf(hex: string): string {
  const [address = "", port = "0"] = hex.split(":");
  const bytes = Buffer.from(address, "hex");
  for (let at = 0; at < bytes.length; at += 4) bytes.subarray(at, at + 4).reverse();
  return `${bytes.length === 4 ? bytes.join(".") : address6(bytes)}:${Number.parseInt(port, 16)}`;
}

function address6(bytes: Buffer): string {
  if (bytes.subarray(0, 12).equals(MAPPED)) return `::ffff:${bytes.subarray(12).join(".")}`;
  const groups = bytes.toString("hex").match(/.{4}/g)!.join(":");
  return new URL(`http://[${groups}]`).hostname.slice(1, -1);
}

const MAPPED = Buffer.from("00000000000000000000ffff", "hex");
