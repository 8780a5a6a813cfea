import type { HubTransport } from "../../../src/hub/federation/transport.js";
import { HubMachine } from "../../../src/hub/machine/machine.js";
import type { Session, SessionView } from "../../../src/hub/machine/session.js";
import type { MachineOptions } from "../../../src/hub/machine/state.js";
import { type Received, splitFrames } from "../raw-client.js";

/** A connection without a socket: what the hub wrote, and how much more its kernel takes. */
export interface Wire {
  readonly session: Session;
  written: Buffer[];
  /** Bytes that are taken before the next write stays in flight; Infinity for a reader that keeps up. */
  room: number;
  /** In flight, not taken. */
  stuck: number;
  /** Chunks that wait because the hub does not read. */
  pending: Buffer[];
  gone: boolean;
}

/** Runs the machine as the shell does, with a clock that stands still until told. */
export class HubWorld {
  nowMs = 1_000_000;
  readonly machine: HubMachine;
  readonly wires: Wire[] = [];
  /** The way to other hubs, where there are some. */
  transport: HubTransport | undefined;
  /** False: the hub is too busy to hand anything to the kernel. */
  writes = true;
  /** Called whenever a turn of the event loop ends. */
  onTurn: () => void = () => {};

  constructor(options: Partial<MachineOptions> = {}) {
    this.machine = new HubMachine(options);
  }

  connect(): Wire {
    // Tests also look at what the shell does not see.
    const session = this.machine.connect(this.nowMs) as Session;
    const wire: Wire = {
      session,
      written: [],
      room: Number.POSITIVE_INFINITY,
      stuck: 0,
      pending: [],
      gone: false,
    };
    this.wires.push(wire);
    this.settle();
    return wire;
  }

  /** The client sends; bytes wait while the hub does not read. */
  send(wire: Wire, ...chunks: readonly Buffer[]): void {
    wire.pending.push(...chunks);
    this.settle();
  }

  /** The shell reads a chunk, whether or not the hub wants it. */
  receive(session: SessionView, chunk: Buffer): void {
    this.machine.handle({ type: "received", session, chunk }, this.nowMs);
  }

  /** The client reads so many more bytes. */
  read(wire: Wire, bytes: number): void {
    wire.room += bytes;
    if (wire.stuck > 0 && wire.room >= wire.stuck) {
      wire.room -= wire.stuck;
      wire.stuck = 0;
      this.machine.handle({ type: "sent", session: wire.session, atOnce: false }, this.nowMs);
      this.#flush(wire.session);
    }
    this.settle();
  }

  /** The client sends no more, and still reads. */
  end(wire: Wire): void {
    this.machine.handle({ type: "ended", session: wire.session }, this.nowMs);
    this.settle();
  }

  leave(wire: Wire): void {
    wire.gone = true;
    this.machine.handle({ type: "disconnected", session: wire.session, reason: "clientClosed" }, this.nowMs);
    this.settle();
  }

  /** Time passes, with every wake-up on the stream. */
  pass(ms: number): void {
    const untilMs = this.nowMs + ms;
    while (this.wakeAtMs <= untilMs) {
      this.nowMs = Math.max(this.nowMs, this.wakeAtMs);
      this.wake();
    }
    this.nowMs = untilMs;
  }

  get wakeAtMs(): number {
    return Math.min(this.machine.wakeAtMs, this.transport?.wakeAtMs ?? Number.POSITIVE_INFINITY);
  }

  /** At `nowMs`. */
  wake(): void {
    if (this.machine.wakeAtMs <= this.nowMs) this.machine.handle({ type: "woke" }, this.nowMs);
    if (this.transport !== undefined && this.transport.wakeAtMs <= this.nowMs)
      this.transport.woke(this.nowMs, 0);
    this.settle();
  }

  frames(wire: Wire): Received[] {
    return splitFrames(Buffer.concat(wire.written)).frames;
  }

  payloads(wire: Wire): string[] {
    return this.frames(wire).map(({ body }) => body.toString());
  }

  /** Carries out all orders and feeds all waiting bytes, until nothing moves. */
  settle(): void {
    const { effects } = this.machine;
    let moved = true;
    const flush = (session: SessionView): void => {
      this.#flush(session);
      moved = true;
    };
    while (moved) {
      moved = false;
      for (const wire of this.wires) {
        while (!wire.gone && wire.session.reading && wire.session.open && wire.pending.length > 0) {
          this.receive(wire.session, Buffer.from(wire.pending.shift()!));
          moved = true;
        }
      }
      if (this.writes) {
        effects.flushUrgent(flush);
        effects.flushDirty(flush);
      }
      for (const session of effects.takeReading()) {
        if (session.link === undefined) continue;
        this.transport?.reading(session, this.nowMs);
        moved = true;
      }
      if (this.machine.worked) {
        this.onTurn();
        this.machine.handle({ type: "turned" }, this.nowMs);
        while (this.machine.hasLeftOver) this.machine.handle({ type: "continued" }, this.nowMs);
        moved = true;
      }
      for (const { session, flush } of effects.takeClosing()) {
        if (flush) this.#flush(session);
        const wire = this.wires.find((wire) => wire.session === session)!;
        // Who ended by itself is still written to.
        if (flush && session.closeReason === "clientClosed" && wire.stuck > 0) continue;
        wire.gone = true;
        this.machine.handle({ type: "disconnected", session, reason: "clientClosed" }, this.nowMs);
        moved = true;
      }
    }
  }

  #flush(session: SessionView): void {
    if (session.link !== undefined) {
      this.transport?.flush(session, this.nowMs);
      return;
    }
    const wire = this.wires.find((one) => one.session === session)!;
    if (wire.gone || wire.stuck > 0 || !this.writes) return;
    for (;;) {
      const vectors = this.machine.takeBatch(session, this.nowMs);
      if (vectors.length === 0) return;
      // Copied at once: a joined buffer is used again when it was taken.
      const bytes = Buffer.concat(vectors);
      wire.written.push(bytes);
      if (bytes.length > wire.room) {
        wire.stuck = bytes.length;
        return;
      }
      wire.room -= bytes.length;
      this.machine.handle({ type: "sent", session, atOnce: true }, this.nowMs);
    }
  }
}
