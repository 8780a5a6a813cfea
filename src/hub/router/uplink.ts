import { randomBytes } from "node:crypto";
import type { HubMachine } from "../protocol/hub-machine.js";
import type { IdBlocks } from "../protocol/ids.js";
import type { Session } from "../protocol/session.js";
import type { Router } from "./port.js";
import { Interlink } from "./protocol/interlink.js";
import { LINK_LIMITS } from "./protocol/limits.js";
import type { RouterStatus } from "./status.js";

/** How long a starting hub waits for others to answer, and then at most until they have named their clients. */
const MEET_MS = 250;
const NAMED_MS = 3_000;
/** With fewer ids left than that, more are leased. */
const IDS_LOW = 32_768;

export interface UplinkOptions {
  readonly name: string;
  readonly router: Router;
  readonly machine: HubMachine;
  readonly ids: IdBlocks;
  readonly nowMs: () => number;
  /** To be called after the machine was told something. */
  readonly carryOut: () => void;
  readonly onWarning: (message: string) => void;
}

/** The interlink over a real router, with a real clock. */
export class Uplink {
  readonly #interlink: Interlink;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #leasing = false;
  #closed = false;

  constructor(private readonly options: UplinkOptions) {
    const { name, machine, router } = options;
    const packetBytesMax = Math.min(router.packetBytesMax, LINK_LIMITS.packetBytesMax);
    this.#interlink = new Interlink(randomBytes(8).toString("hex"), name, machine, {
      packetBytesMax,
      get connected() {
        return router.connected;
      },
      send: (hub, packet) => router.send(hub, packet),
      broadcast: (packet) => router.broadcast(packet),
    });
  }

  /** Meets the other hubs, learns of their clients, and takes ids. @throws what `Router.lease` and `start` throw */
  async open(): Promise<void> {
    const { router, ids, machine, nowMs } = this.options;
    await router.start(this.#interlink.key, { onPacket: this.#onPacket, onChange: this.#onChange });
    this.#interlink.start(nowMs());
    this.#plan();
    await this.#othersNamed();
    const { first, end } = await router.lease(highest(machine));
    ids.add(first, end);
  }

  status(): RouterStatus {
    const { router, machine } = this.options;
    return {
      engine: router.engine,
      connected: router.connected,
      clients: machine.remotes.size,
      gaps: machine.remotes.gapsTold,
      refused: machine.remotes.framesRefused + this.#interlink.packetsRefused,
      resent: this.#interlink.packetsResent,
      hubs: [...machine.remotes.hubs].map(({ name, key, clients, session }) => ({
        name,
        key,
        clients: clients.size,
        queuedBytes: session.outbox.bytes,
        bytesIn: session.bytesIn,
        bytesOut: session.outbox.bytesOut,
      })),
    };
  }

  /** Sends what is queued for a hub, if that session is one. */
  flush(session: Session): void {
    this.#interlink.flush(session, this.options.nowMs());
    this.#plan();
  }

  /** The machine reads from a hub again, or no longer, if that session is one. */
  reading(session: Session): void {
    this.#interlink.reading(session, this.options.nowMs());
    this.#plan();
  }

  /** A client took an id. */
  idTaken(): void {
    if (this.options.ids.left < IDS_LOW) void this.#leaseMore();
  }

  /** Idempotent. The other hubs are told. */
  async close(): Promise<void> {
    if (!this.#closed) this.#interlink.leave();
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.options.router.close();
  }

  readonly #onPacket = (packet: Buffer): void => {
    if (this.#closed) return;
    this.#interlink.packet(packet, this.options.nowMs());
    this.options.carryOut();
    this.#plan();
  };

  readonly #onChange = (connected: boolean): void => {
    if (this.#closed || !connected) return;
    this.#interlink.connected(this.options.nowMs());
    this.options.carryOut();
    this.#plan();
  };

  #plan(): void {
    const { wakeAtMs } = this.#interlink;
    if (wakeAtMs >= this.#timerAtMs || this.#closed) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = wakeAtMs;
    const delayMs = Math.max(1, Math.ceil(wakeAtMs - this.options.nowMs()));
    this.#timer = setTimeout(this.#onWake, delayMs);
  }

  readonly #onWake = (): void => {
    const nowMs = this.options.nowMs();
    const lateMs = nowMs - this.#timerAtMs;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    this.#interlink.woke(nowMs, lateMs);
    this.options.carryOut();
    this.idTaken();
    this.#plan();
  };

  async #othersNamed(): Promise<void> {
    const { nowMs } = this.options;
    const startedAtMs = nowMs();
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, MEET_MS / 5));
      const waitedMs = nowMs() - startedAtMs;
      if (waitedMs >= NAMED_MS || (waitedMs >= MEET_MS && this.#interlink.complete)) return;
    }
  }

  async #leaseMore(): Promise<void> {
    const { router, ids, machine, onWarning } = this.options;
    if (this.#leasing || this.#closed || !router.connected) return;
    this.#leasing = true;
    try {
      const { first, end } = await router.lease(highest(machine));
      ids.add(first, end);
    } catch (error) {
      onWarning((error as Error).message);
    } finally {
      this.#leasing = false;
    }
  }
}

/** The largest id of any client of another hub: should the ids be counted from the start, nobody's is given twice. */
function highest(machine: HubMachine): number {
  let id = 0;
  for (const client of machine.remotes.all()) id = Math.max(id, client.id);
  return id;
}
