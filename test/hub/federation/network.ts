import { decodePacket, type Packet } from "../../../src/hub/federation/streams.js";
import { HubTransport } from "../../../src/hub/federation/transport.js";
import { IdBlocks } from "../../../src/hub/machine/clients.js";
import type { MachineOptions } from "../../../src/hub/machine/state.js";
import { HubWorld } from "../machine/world.js";

interface InFlight {
  readonly from: NetworkedHub;
  readonly to: NetworkedHub;
  readonly bytes: Buffer;
}

/** A hub in a network of hubs, with its clients. */
export class NetworkedHub extends HubWorld {
  alive = true;

  constructor(
    readonly key: string,
    options: Partial<MachineOptions>,
  ) {
    super(options);
  }

  get ids(): number[] {
    return this.wires.filter(({ gone }) => !gone).map(({ session }) => session.id);
  }
}

/** Hubs, and packets between them that arrive in order, one step after the other, unless somebody loses them. */
export class HubNetwork {
  readonly hubs: NetworkedHub[] = [];
  /** Says which packets are lost. */
  loses: (packet: Packet, from: NetworkedHub, to: NetworkedHub) => boolean = () => false;
  sent = 0;
  bytesMax = 0;
  #inFlight: InFlight[] = [];

  /** @param count hubs, which know each other when this returns */
  constructor(
    count: number,
    private readonly options: Partial<MachineOptions> = {},
    private readonly packetBytesMax = 8_192,
  ) {
    for (let index = 0; index < count; index += 1) this.add();
    this.settle();
  }

  /** One more hub. Its ids begin at a thousand times its number. */
  add(options: Partial<MachineOptions> = {}): NetworkedHub {
    const number = this.hubs.length + 1;
    const ids = new IdBlocks();
    ids.add(1_000 * number, 1_000 * number + 1_000);
    const key = number.toString(16).padStart(16, "0");
    const hub = new NetworkedHub(key, { ...this.options, ids, name: `hub-${number}`, ...options });
    const carrier = {
      packetBytesMax: this.packetBytesMax,
      connected: true,
      send: (to: string, bytes: Buffer) =>
        this.#put(
          hub,
          bytes,
          this.hubs.filter(({ key }) => key === to),
        ),
      broadcast: (bytes: Buffer) =>
        this.#put(
          hub,
          bytes,
          this.hubs.filter((other) => other !== hub),
        ),
    };
    this.hubs.push(hub);
    hub.nowMs = this.hubs[0]!.nowMs;
    hub.transport = new HubTransport(key, `hub-${number}`, hub.machine, carrier);
    hub.transport.start(hub.nowMs);
    return hub;
  }

  /** Everything goes on until nothing moves, without time passing. */
  settle(): void {
    for (const hub of this.#alive()) hub.settle();
    for (let steps = 0; this.step(); steps += 1) if (steps > 1_000_000) throw new Error("never settles");
  }

  /** The oldest packet arrives, or is lost. @returns whether there was one */
  step(): boolean {
    const next = this.#inFlight.shift();
    if (next === undefined) return false;
    const packet = decodePacket(next.bytes)!;
    if (!next.to.alive || this.loses(packet, next.from, next.to)) return true;
    next.to.transport!.packet(Buffer.from(next.bytes), next.to.nowMs);
    next.to.settle();
    return true;
  }

  /** Time passes on all hubs. */
  pass(ms: number): void {
    const untilMs = this.hubs[0]!.nowMs + ms;
    for (;;) {
      const atMs = Math.min(...this.#alive().map(({ wakeAtMs }) => wakeAtMs));
      if (atMs > untilMs) break;
      for (const hub of this.hubs) hub.nowMs = Math.max(hub.nowMs, atMs);
      for (const hub of this.#alive()) if (hub.wakeAtMs <= hub.nowMs) hub.wake();
      this.settle();
    }
    for (const hub of this.hubs) hub.nowMs = untilMs;
    this.settle();
  }

  /** As by SIGKILL: nobody is told. */
  kill(hub: NetworkedHub): void {
    hub.alive = false;
  }

  #alive(): NetworkedHub[] {
    return this.hubs.filter(({ alive }) => alive);
  }

  #put(from: NetworkedHub, bytes: Buffer, receivers: readonly NetworkedHub[]): void {
    if (!from.alive) return;
    this.bytesMax = Math.max(this.bytesMax, bytes.length);
    for (const to of receivers) {
      this.sent += 1;
      this.#inFlight.push({ from, to, bytes });
    }
  }
}
