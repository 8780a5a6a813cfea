import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { nowMs, WakeTimer } from "../../runtime/runner.js";
import type { IdBlocks } from "../machine/clients.js";
import type { HubMachine } from "../machine/machine.js";
import type { SessionView } from "../machine/session.js";
import type { CompleteHubOptions } from "../option-kinds.js";
import type { RouterStatus } from "../status.js";
import type { NatsRouter } from "./nats.js";
import { LINK_LIMITS } from "./streams.js";
import { HubTransport } from "./transport.js";

/** How long a starting hub waits for others to answer, and then at most until they have named their clients. */
const MEET_MS = 250;
const NAMED_MS = 3_000;
/** With fewer ids left, more are leased. */
const IDS_LOW = 32_768;
/** Between attempts to restore the ids in NATS, which may be starting. */
const KEEP_AGAIN_MS = 1_000;

/** The hub that joins. */
interface Joining {
  readonly machine: HubMachine;
  readonly ids: IdBlocks;
  /** Called after each input to the machine. */
  carryOut(): void;
  attach(federation: FederationShell): void;
}

/** The shell of the federation: a router, a clock and a timer for `HubTransport`. */
export class FederationShell {
  readonly #transport: HubTransport;
  readonly #timer = new WakeTimer({
    now: nowMs,
    dueAtMs: () => this.#transport.wakeAtMs,
    wake: (nowMs, lateMs) => {
      this.#transport.woke(nowMs, lateMs);
      this.#inputTaken();
      this.idTaken();
    },
  });
  #leasing = false;
  #closed = false;

  constructor(
    name: string,
    private readonly router: NatsRouter,
    private readonly hub: Joining,
    private readonly warn: (message: string) => void,
  ) {
    const packetBytesMax = Math.min(router.packetBytesMax, LINK_LIMITS.packetBytesMax);
    this.#transport = new HubTransport(randomBytes(8).toString("hex"), name, hub.machine, {
      packetBytesMax,
      get connected() {
        return router.connected;
      },
      send: (hub, packet) => router.send(hub, packet),
      broadcast: (packet) => router.broadcast(packet),
    });
  }

  /**
   * Finds the other hubs, learns of their clients, and leases ids. @throws the errors of `lease` and `start` of
   * the router
   */
  async open(): Promise<void> {
    const { router } = this;
    await router.start(this.#transport.key, { onPacket: this.#onPacket, onChange: this.#onChange });
    this.#transport.start(nowMs());
    this.#plan();
    await this.#othersNamed();
    await this.#lease();
  }

  status(): RouterStatus {
    const { router } = this;
    const { machine } = this.hub;
    return {
      engine: router.engine,
      connected: router.connected,
      clients: machine.remotes.size,
      gaps: machine.remotes.gapsTold,
      refused: machine.remotes.framesRefused + this.#transport.packetsRefused,
      resent: this.#transport.packetsResent,
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

  /** Sends the outbox of a link. */
  flush(session: SessionView): void {
    this.#transport.flush(session, nowMs());
    this.#plan();
  }

  /** The machine reads a link again, or no longer. */
  reading(session: SessionView): void {
    this.#transport.reading(session, nowMs());
    this.#plan();
  }

  /** A client took an id. */
  idTaken(): void {
    if (this.hub.ids.left < IDS_LOW) void this.#leaseMore();
  }

  /** Idempotent. Tells the other hubs. */
  async close(): Promise<void> {
    if (!this.#closed) this.#transport.leave(nowMs());
    this.#closed = true;
    this.#timer.stop();
    await this.router.close();
  }

  readonly #onPacket = (packet: Buffer): void => {
    if (this.#closed) return;
    this.#transport.packet(packet, nowMs());
    this.#inputTaken();
  };

  readonly #onChange = (connected: boolean): void => {
    if (this.#closed || !connected) return;
    this.#transport.connected(nowMs());
    this.#inputTaken();
    void this.#keepIds();
  };

  #inputTaken(): void {
    this.hub.carryOut();
    this.#plan();
  }

  #plan(): void {
    if (!this.#closed) this.#timer.plan();
  }

  async #othersNamed(): Promise<void> {
    const startedAtMs = nowMs();
    for (;;) {
      await sleep(MEET_MS / 5);
      const waitedMs = nowMs() - startedAtMs;
      if (waitedMs >= NAMED_MS || (waitedMs >= MEET_MS && this.#transport.complete)) return;
    }
  }

  async #leaseMore(): Promise<void> {
    if (this.#leasing || this.#closed || !this.router.connected) return;
    this.#leasing = true;
    try {
      await this.#lease();
    } catch (error) {
      this.warn((error as Error).message);
    } finally {
      this.#leasing = false;
    }
  }

  async #lease(): Promise<void> {
    const { first, end } = await this.router.lease(this.#transport.idsEnd);
    this.#transport.leased(end);
    this.hub.ids.add(first, end);
  }

  /** NATS was away, and may have lost which ids are leased: writes it again, until that works or NATS is away again. */
  async #keepIds(): Promise<void> {
    for (let isFirst = true; !this.#closed && this.router.connected; isFirst = false) {
      try {
        await this.router.keep(this.#transport.idsEnd);
        return;
      } catch (error) {
        if (isFirst && !this.#closed) this.warn((error as Error).message);
      }
      await sleep(KEEP_AGAIN_MS, undefined, { ref: false });
    }
  }
}

/**
 * Joins the federation of an engine. Resolves when the clients of the other hubs are known; leaves nothing open
 * otherwise.
 * @throws natsUnreachable, natsRefused, natsNoJetStream, natsUnusable, invalidOption
 */
export async function joinFederation(options: CompleteHubOptions, hub: Joining): Promise<FederationShell> {
  const { engine, name, logger, nats } = options;
  const onWarning = (message: string): void => logger?.warn({ engine: "nats" }, message);
  const { openNatsRouter } = await import("./nats.js");
  const router = await openNatsRouter({
    ...nats,
    engine,
    name,
    replicas: nats?.replicas ?? 1,
    onWarning,
  });
  const federation = new FederationShell(name, router, hub, onWarning);
  hub.attach(federation);
  try {
    await federation.open();
    return federation;
  } catch (error) {
    await federation.close();
    throw error;
  }
}
