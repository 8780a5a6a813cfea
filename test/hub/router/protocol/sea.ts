import { IdBlocks } from "../../../../src/hub/protocol/ids.js";
import type { MachineOptions } from "../../../../src/hub/protocol/options.js";
import { Interlink } from "../../../../src/hub/router/protocol/interlink.js";
import { decodePacket, type Packet } from "../../../../src/hub/router/protocol/packet.js";
import { Ground } from "../../protocol/ground.js";

interface Adrift {
  readonly from: Isle;
  readonly to: Isle;
  readonly bytes: Buffer;
}

/** A hub in a network of hubs, with its clients. */
export class Isle extends Ground {
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
export class Sea {
  readonly isles: Isle[] = [];
  /** Says which packets are lost. */
  loses: (packet: Packet, from: Isle, to: Isle) => boolean = () => false;
  sent = 0;
  bytesMax = 0;
  #adrift: Adrift[] = [];

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
  add(options: Partial<MachineOptions> = {}): Isle {
    const number = this.isles.length + 1;
    const ids = new IdBlocks();
    ids.add(1_000 * number, 1_000 * number + 1_000);
    const key = number.toString(16).padStart(16, "0");
    const isle = new Isle(key, { ...this.options, ids, name: `hub-${number}`, ...options });
    const carrier = {
      packetBytesMax: this.packetBytesMax,
      connected: true,
      send: (to: string, bytes: Buffer) =>
        this.#put(
          isle,
          bytes,
          this.isles.filter(({ key }) => key === to),
        ),
      broadcast: (bytes: Buffer) =>
        this.#put(
          isle,
          bytes,
          this.isles.filter((other) => other !== isle),
        ),
    };
    this.isles.push(isle);
    isle.nowMs = this.isles[0]!.nowMs;
    isle.interlink = new Interlink(key, `hub-${number}`, isle.machine, carrier);
    isle.interlink.start(isle.nowMs);
    return isle;
  }

  /** Everything goes on until nothing moves, without time passing. */
  settle(): void {
    for (const isle of this.#alive()) isle.settle();
    for (let steps = 0; this.step(); steps += 1) if (steps > 1_000_000) throw new Error("never settles");
  }

  /** The oldest packet arrives, or is lost. @returns whether there was one */
  step(): boolean {
    const next = this.#adrift.shift();
    if (next === undefined) return false;
    const packet = decodePacket(next.bytes)!;
    if (!next.to.alive || this.loses(packet, next.from, next.to)) return true;
    next.to.interlink!.packet(Buffer.from(next.bytes), next.to.nowMs);
    next.to.settle();
    return true;
  }

  /** Time passes on all hubs. */
  pass(ms: number): void {
    const untilMs = this.isles[0]!.nowMs + ms;
    for (;;) {
      const atMs = Math.min(...this.#alive().map(({ wakeAtMs }) => wakeAtMs));
      if (atMs > untilMs) break;
      for (const isle of this.isles) isle.nowMs = Math.max(isle.nowMs, atMs);
      for (const isle of this.#alive()) if (isle.wakeAtMs <= isle.nowMs) isle.wake();
      this.settle();
    }
    for (const isle of this.isles) isle.nowMs = untilMs;
    this.settle();
  }

  /** As by SIGKILL: nobody is told. */
  kill(isle: Isle): void {
    isle.alive = false;
  }

  #alive(): Isle[] {
    return this.isles.filter(({ alive }) => alive);
  }

  #put(from: Isle, bytes: Buffer, receivers: readonly Isle[]): void {
    if (!from.alive) return;
    this.bytesMax = Math.max(this.bytesMax, bytes.length);
    for (const to of receivers) {
      this.sent += 1;
      this.#adrift.push({ from, to, bytes });
    }
  }
}
