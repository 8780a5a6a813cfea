import type { Item } from "../node/replica/item.js";
import type { Replica } from "../node/replica/replica.js";
import type { Dice, Timeline } from "./determinism.js";

/** A computer on the virtual network: its address, clock and storage outlive the processes that run on it. */
export interface Host {
  readonly number: number;
  readonly address: string;
  /** Its wall clock minus true time, ms. */
  skewMs: number;
  /** Offset of the time that it tells its peers, ms: not 0 for a liar. */
  liesMs: number;
  /** When its wall clock was set last, true time. */
  clockSetAtMs: number;
  readonly durable: boolean;
  readonly disk: VirtualDisk;
  /** Addresses that it is told at the start, as by `--peer`, beside that of the seed. */
  readonly known: readonly string[];
  /** Another host's address, which it gives as its own: a liar. */
  readonly claims: string | undefined;
  /** Processes that ever ran here. */
  starts: number;
  /** Only hosts of the same group reach each other. */
  group: number;
  /** Its messages reach only other mute hosts. */
  isMute: boolean;
  /** It left for good. */
  gone: boolean;
}

/** One life of a node on a host, as the rules and the links see it. */
export interface Process {
  readonly id: string;
  readonly host: Host;
  readonly replica: Replica;
  readonly startedAtMs: number;
  /** The node's time, epoch ms. */
  readonly nowMs: number;
  /** The time of its host, which never jumps, epoch ms. */
  readonly machineMs: number;
  readonly alive: boolean;
  readonly frozen: boolean;
}

/** Traffic of one host. */
interface HostFigures {
  messages: number;
  bytes: number;
}

/** Counts the traffic of a world. */
export class Figures {
  readonly #sent: HostFigures[] = [];

  sent(host: Host, bytes: number): void {
    this.#sent[host.number] ??= { messages: 0, bytes: 0 };
    const sent = this.#sent[host.number]!;
    sent.messages++;
    sent.bytes += bytes;
  }

  perHost(): readonly HostFigures[] {
    return this.#sent;
  }
}

interface Commit {
  readonly add: readonly Item[];
  readonly remove: readonly Item[];
}

interface DiskOptions {
  readonly timeline: Timeline;
  readonly dice: Dice;
  /** Items outlive the process. */
  readonly durable: boolean;
  /** Probability that a commit fails now. */
  readonly failure: () => number;
  /** An item was stored (1) or removed (-1). */
  readonly counted: (item: Item, change: 1 | -1) => void;
}

/** The storage of a host. Commits complete in order, some time later; a power cut keeps the first few of the pending ones. */
export class VirtualDisk {
  readonly #kept = new Map<string, Item>();
  /** Items whose removal failed; they stay until they are removed again. */
  readonly #stuck = new Set<string>();
  #writing: Commit[] = [];
  #idleAtMs = 0;
  /** Changes with each crash: commits of an earlier session never complete. */
  #session = 0;

  constructor(private readonly options: DiskOptions) {}

  has(digest: string): boolean {
    return this.#kept.has(digest);
  }

  isStuck(digest: string): boolean {
    return this.#stuck.has(digest);
  }

  items(): Item[] {
    return [...this.#kept.values()];
  }

  /** @param done called when the commit is durable, or failed */
  commit(commit: Commit, done: (kept: boolean) => void): void {
    const { timeline, dice, durable, failure } = this.options;
    const delayMs = durable ? dice.whole(0, 12) : 0;
    this.#idleAtMs = Math.max(this.#idleAtMs, timeline.nowMs + delayMs);
    const session = this.#session;
    const fails = dice.chance(failure());
    this.#writing.push(commit);
    timeline.at(this.#idleAtMs, () => {
      if (session !== this.#session) return;
      this.#writing.shift();
      if (!fails) this.#keep(commit);
      else for (const item of commit.remove) this.#stuck.add(item.digest);
      done(!fails);
    });
  }

  /** The process has ended. Any number of the pending commits, oldest first, are kept. */
  crash(): void {
    this.#session++;
    const kept = this.options.dice.whole(0, this.#writing.length);
    for (const commit of this.#writing.slice(0, kept)) this.#keep(commit);
    this.#writing = [];
    this.#idleAtMs = 0;
    if (!this.options.durable) this.wipe();
  }

  wipe(): void {
    for (const item of this.#kept.values()) this.options.counted(item, -1);
    this.#kept.clear();
    this.#stuck.clear();
  }

  #keep({ add, remove }: Commit): void {
    for (const item of add) {
      if (this.#kept.has(item.digest)) continue;
      this.#kept.set(item.digest, item);
      this.options.counted(item, 1);
    }
    for (const item of remove) {
      this.#stuck.delete(item.digest);
      if (this.#kept.delete(item.digest)) this.options.counted(item, -1);
    }
  }
}
