import { encodeBatch, withDigest } from "../node/replica/item.js";
import { integritySignature } from "../node/replica/signature.js";
import { batchFrame, encodeFrame } from "../node/replica/wire.js";
import type { Dice } from "./determinism.js";
import type { Host } from "./host.js";
import type { VirtualLink } from "./link.js";
import type { World } from "./world.js";

const OUTAGE_MS_MAX = 8_000;
const STALL_MS_MAX = 15_000;
const DISK_FAILURE = 0.02;
const DELAY = 0.05;
/** Share of the nodes that a join storm adds within `STORM_MS`. */
const STORM_PART = 0.3;
const STORM_MS = 200;
const HOUR_MS = 3_600_000;
/** Offsets of wrong clocks. Few hosts have the same one, so that no two confirm each other. */
const WRONG_MS = [25 * HOUR_MS, -25 * HOUR_MS, 600_000, -600_000] as const;
const RESTART_MS_MAX = 1_000;
/** The largest step of a drifting clock, once a second. */
const DRIFT_MS = 900;
/** The host that replaces the seed after it has left. */
const SEED_NEXT = 1;

/** Draws all faults of a world from its seed, injects them, and ends them. */
export class Faults {
  readonly #dice: Dice;
  readonly #clockDice: Dice;
  readonly #frozen: (() => void)[] = [];
  /** Corrects each clock that was set wrong. */
  readonly #clocks: (() => void)[] = [];

  constructor(private readonly world: World) {
    this.#dice = world.dice.named("faults");
    this.#clockDice = world.dice.named("clocks");
  }

  plan(fromMs: number, untilMs: number): void {
    const { options, faults, timeline, network } = this.world;
    const { loss, partition, apartMs, churn, nodes } = options;
    const lengthMs = untilMs - fromMs;
    const at = (part: number) => fromMs + Math.floor(lengthMs * part);
    if (loss > 0) Object.assign(faults, { loss, delay: DELAY });
    if (this.world.seedRetires)
      timeline.at(apartMs > 0 ? untilMs - apartMs - 1 : at(0.25), () => this.#retireSeed());
    if (partition > 1) {
      timeline.at(apartMs > 0 ? untilMs - apartMs : at(0.3), () => network.split(partition));
      if (apartMs === 0) timeline.at(at(0.7), () => network.join());
      if (apartMs === 0 && this.#dice.chance(0.3)) timeline.at(at(0.8), () => network.cutOneWay());
    }
    if (churn > 0) {
      faults.diskFailure = DISK_FAILURE;
      if (this.#dice.chance(0.3)) timeline.at(at(this.#dice.random()), () => this.#storm());
      if (this.#dice.chance(0.3)) timeline.at(at(0.1), () => this.world.start(this.world.addHost(true)));
    }
    this.#times(Math.ceil(churn * nodes), fromMs, untilMs, () => this.#churn());
    const upset = this.#clockDice.shuffled(this.world.hosts).slice(0, Math.floor(options.clocks * nodes));
    // Early, so that the consequences show before the end.
    for (const [index, host] of upset.entries())
      timeline.at(this.#clockDice.whole(fromMs, at(0.5)), () =>
        this.#upsetClock(host, WRONG_MS[index % WRONG_MS.length]!, untilMs),
      );
    const troubles = loss > 0 || churn > 0 ? Math.ceil(nodes / 5) : 0;
    this.#times(troubles, fromMs, untilMs, () => this.#stall());
    this.#times(troubles, fromMs, untilMs, () => this.#cut());
    this.#times(troubles, fromMs, untilMs, () => this.#forge());
  }

  /** Ends all faults: frozen processes and links resume, stopped hosts start. */
  heal(): void {
    const { faults, network, hosts } = this.world;
    Object.assign(faults, { loss: 0, delay: 0, diskFailure: 0 });
    network.join();
    for (const thaw of this.#frozen.splice(0)) thaw();
    for (const setRight of this.#clocks.splice(0)) setRight();
    for (const host of hosts) {
      const node = this.world.nodeOn(host);
      node?.thaw();
      if (!node && !host.gone) this.world.start(host);
    }
  }

  #times(count: number, fromMs: number, untilMs: number, happens: () => void): void {
    for (let index = 0; index < count; index++)
      this.world.timeline.at(this.#dice.whole(fromMs, untilMs - 1), happens);
  }

  #churn(): void {
    const host = this.#dice.pick(this.world.hosts)!;
    const node = this.world.nodeOn(host);
    if (!node) return;
    switch (this.#dice.whole(0, 4)) {
      case 0:
        node.freeze(this.#dice.whole(1, OUTAGE_MS_MAX));
        return;
      case 1:
        node.leave();
        this.world.ended(host);
        if (host.number !== this.world.seed && host.number !== SEED_NEXT && this.#dice.chance(0.5))
          this.#replace(host);
        else this.#restartLater(host);
        return;
      default:
        this.#crash(host, this.#dice);
        this.#restartLater(host);
    }
  }

  /**
   * Makes a clock wrong until the faults end: it jumps (and usually returns), starts wrong, drifts, or its host lies
   * about it.
   */
  #upsetClock(host: Host, wrongMs: number, untilMs: number): void {
    const { world } = this;
    const dice = this.#clockDice;
    const rightMs = host.skewMs;
    const setRight = () => {
      host.liesMs = 0;
      if (host.skewMs !== rightMs) world.setClock(host, rightMs);
    };
    this.#clocks.push(setRight);
    switch (dice.whole(0, 4)) {
      case 0:
        host.liesMs = wrongMs;
        return;
      case 1:
        this.#drift(host, untilMs);
        return;
      case 2:
        world.setClock(host, wrongMs);
        if (!world.nodeOn(host)) return;
        this.#crash(host, dice);
        this.#restartAfter(host, dice.whole(1, RESTART_MS_MAX));
        return;
      default:
        world.setClock(host, wrongMs);
        if (dice.chance(0.7)) world.timeline.after(dice.whole(100, OUTAGE_MS_MAX), setRight);
    }
  }

  #drift(host: Host, untilMs: number): void {
    const { world } = this;
    const mostMs = world.options.skewMs;
    const nextMs = host.skewMs + this.#clockDice.whole(-DRIFT_MS, DRIFT_MS);
    host.skewMs = Math.max(-mostMs, Math.min(mostMs, nextMs));
    if (world.nowMs + 1_000 < untilMs) world.timeline.after(1_000, () => this.#drift(host, untilMs));
  }

  /** Removes a host and its disk for good; a new host joins. */
  #replace(host: Host): void {
    host.gone = true;
    host.disk.wipe();
    const other = this.world.addHost();
    other.group = host.group;
    this.#restartLater(other);
  }

  /** Kills the process of a host, if one runs, or cuts its power. */
  #crash(host: Host, dice: Dice): void {
    const node = this.world.nodeOn(host);
    if (!node) return;
    node.crash(dice.chance(0.5));
    this.world.ended(host);
  }

  #restartLater(host: Host): void {
    this.#restartAfter(host, this.#dice.whole(1, OUTAGE_MS_MAX));
  }

  #restartAfter(host: Host, delayMs: number): void {
    this.world.timeline.after(delayMs, () => {
      if (!this.world.nodeOn(host) && !host.gone) this.world.start(host);
    });
  }

  /** The seed leaves for good. Hosts that start from now on learn of another one instead. */
  #retireSeed(): void {
    const { hosts } = this.world;
    const [seed, next] = [hosts[this.world.seed]!, hosts[SEED_NEXT]!];
    this.world.seed = next.number;
    const node = this.world.nodeOn(seed);
    if (node) {
      node.leave();
      this.world.ended(seed);
    }
    seed.gone = true;
    seed.disk.wipe();
    // A host that has not joined yet knows no other address.
    const living = this.world.living();
    for (const node of living) {
      if (node.replica.links.count > 0 && node.replica.roster.alive().length > 1) continue;
      const other = node.host === next ? living.find(({ host }) => host !== next)?.host : next;
      if (other) node.tell({ type: "found", addresses: [other.address] });
    }
  }

  /** Many hosts join at nearly the same time and die soon after. */
  #storm(): void {
    const hosts = Array.from({ length: Math.ceil(this.world.options.nodes * STORM_PART) }, () =>
      this.world.addHost(),
    );
    for (const host of hosts) {
      this.world.timeline.after(this.#dice.whole(0, STORM_MS), () => {
        if (!this.world.nodeOn(host)) this.world.start(host);
      });
      this.world.timeline.after(this.#dice.whole(1_000, OUTAGE_MS_MAX), () => {
        if (!this.world.nodeOn(host)) return;
        this.#crash(host, this.#dice);
        host.gone = true;
        host.disk.wipe();
      });
    }
  }

  #stall(): void {
    const link = this.#anyLink();
    if (!link) return;
    const directions = this.#dice.pick([[0], [1], [0, 1]] as const)!;
    for (const from of directions) link.freeze(from);
    let isFrozen = true;
    const thaw = () => {
      if (isFrozen) for (const from of directions) link.thaw(from);
      isFrozen = false;
    };
    this.#frozen.push(thaw);
    this.world.timeline.after(this.#dice.whole(10, STALL_MS_MAX), thaw);
  }

  #cut(): void {
    this.#anyLink()?.break();
  }

  #anyLink(): VirtualLink | undefined {
    return this.#dice.pick([...this.world.network.links]);
  }

  /** A member gossips an item that no node may accept (expired, or from the future), or an outdated record. */
  #forge(): void {
    const link = this.#anyLink();
    const node = link?.ends[1];
    if (!link || !node?.alive) return;
    const record = this.#dice.chance(0.5) ? this.world.known.anyRecord(this.#dice) : undefined;
    if (record) {
      link.send(
        0,
        encodeFrame({
          t: "records",
          records: [record.bytes],
          lost: new Uint8Array(),
          want: new Uint8Array(),
        }),
      );
      return;
    }
    const raw = `forged ${this.#dice.random()}`;
    const good = { id: raw, raw, signature: integritySignature(raw), timestampMs: node.nowMs };
    const forged = this.#dice.pick([
      { ...good, timestampMs: node.nowMs - this.world.options.retentionMs - 1 },
      { ...good, timestampMs: node.nowMs + 600_000 },
    ])!;
    link.send(0, batchFrame("items", encodeBatch([withDigest(forged)])).bytes);
  }
}
