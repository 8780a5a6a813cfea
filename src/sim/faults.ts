import { encodeBatch } from "../node/protocol/batch.js";
import { withDigest } from "../node/protocol/item.js";
import { integritySignature } from "../node/protocol/signature.js";
import type { Dice } from "./dice.js";
import { Marks } from "./gossip.js";
import type { Host } from "./host.js";
import type { World } from "./world.js";

const OUTAGE_MS_MAX = 8_000;
const STALL_MS_MAX = 15_000;
const DISK_FAILURE = 0.02;
const DUPLICATION = 0.1;
const REORDERING = 0.2;

/** Everything bad that happens to a world, drawn from its seed; and the end of it. */
export class Faults {
  readonly #dice: Dice;
  readonly #frozen: (() => void)[] = [];
  #isSplit = false;

  constructor(private readonly world: World) {
    this.#dice = world.dice.named("faults");
  }

  plan(fromMs: number, untilMs: number): void {
    const { options, weather, timeline } = this.world;
    const { loss, partition, churn, nodes } = options;
    const lengthMs = untilMs - fromMs;
    if (loss > 0) Object.assign(weather, { loss, duplication: DUPLICATION, reordering: REORDERING });
    if (partition > 1) {
      timeline.at(fromMs + Math.floor(lengthMs * 0.3), () => this.#split(partition));
      timeline.at(fromMs + Math.floor(lengthMs * 0.7), () => this.#join());
    }
    if (churn > 0) weather.diskFailure = DISK_FAILURE;
    this.#times(Math.ceil(churn * nodes), fromMs, untilMs, () => this.#churn());
    const troubles = loss > 0 || churn > 0 ? Math.ceil(nodes / 5) : 0;
    this.#times(troubles, fromMs, untilMs, () => this.#stall());
    this.#times(troubles, fromMs, untilMs, () => this.#cut());
    this.#times(troubles, fromMs, untilMs, () => this.#forge());
  }

  /** All is well from here on: what was frozen thaws, what was off is on. */
  heal(): void {
    Object.assign(this.world.weather, { loss: 0, duplication: 0, reordering: 0, diskFailure: 0 });
    if (this.#isSplit) this.#join();
    for (const thaw of this.#frozen.splice(0)) thaw();
    for (const host of this.world.hosts) {
      host.node?.thaw();
      if (!host.node && !host.gone) this.world.start(host);
    }
  }

  #times(count: number, fromMs: number, untilMs: number, happens: () => void): void {
    for (let index = 0; index < count; index++)
      this.world.timeline.at(this.#dice.whole(fromMs, untilMs - 1), happens);
  }

  #split(groups: number): void {
    this.#isSplit = true;
    this.world.network.split(groups);
  }

  #join(): void {
    this.#isSplit = false;
    this.world.network.join();
  }

  #churn(): void {
    const host = this.#dice.pick(this.world.hosts)!;
    const { node } = host;
    if (!node) return;
    switch (this.#dice.whole(0, 4)) {
      case 0:
        node.freeze(this.#dice.whole(1, OUTAGE_MS_MAX));
        return;
      case 1:
        node.leave();
        this.world.ended(host);
        // The first host is the one that all others know.
        if (host.number > 0 && this.#dice.chance(0.5)) this.#replace(host);
        else this.#restartLater(host);
        return;
      default:
        node.crash(this.#dice.chance(0.5));
        this.world.ended(host);
        this.#restartLater(host);
    }
  }

  /** It is gone for good, and so is its disk; a new one joins. */
  #replace(host: Host): void {
    host.gone = true;
    host.disk.wipe();
    const other = this.world.addHost();
    other.group = host.group;
    this.#restartLater(other);
  }

  #restartLater(host: Host): void {
    this.world.timeline.after(this.#dice.whole(1, OUTAGE_MS_MAX), () => {
      if (!host.node && !host.gone) this.world.start(host);
    });
  }

  #stall(): void {
    const link = this.#dice.pick([...this.world.network.links]);
    if (!link) return;
    link.freeze();
    let isFrozen = true;
    const thaw = () => {
      if (isFrozen) link.thaw();
      isFrozen = false;
    };
    this.#frozen.push(thaw);
    this.world.timeline.after(this.#dice.whole(10, STALL_MS_MAX), thaw);
  }

  #cut(): void {
    const link = this.#dice.pick([...this.world.network.links]);
    link?.break();
  }

  /** A stranger in the mesh: items with a bad signature, expired, or from the future. */
  #forge(): void {
    const node = this.#dice.pick(this.world.living());
    if (!node) return;
    const raw = `forged ${this.#dice.random()}`;
    const good = { id: raw, raw, signature: integritySignature(raw), timestampMs: node.nowMs };
    const forged = this.#dice.pick([
      { ...good, signature: integritySignature("another raw") },
      { ...good, timestampMs: node.nowMs - this.world.options.retentionMs - 1 },
      { ...good, timestampMs: node.nowMs + 600_000 },
    ])!;
    const bytes = encodeBatch([withDigest(forged)]);
    node.receiveGossip({ bytes, seen: new Marks() }, "stranger");
  }
}
