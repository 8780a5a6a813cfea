/** What one holder of a share may still take, and when that was reckoned. */
interface Share {
  items: number;
  atMs: number;
}

/** Seconds' worth that may be taken at once. */
const BURST_SECONDS = 10;

/**
 * Shares of items: so many a second for each name, and a burst of ten seconds' worth. The names remembered are bounded;
 * the one used longest ago is forgotten, and has its whole share again.
 */
export class Shares {
  /** Used last stands last. */
  readonly #byName = new Map<string, Share>();

  constructor(
    readonly perSecond: number,
    private readonly namesMax: number,
    private readonly now: () => number,
  ) {}

  /** Whole items that this name may take now; 0 too when it took more than it had. */
  left(name: string): number {
    return Math.max(0, Math.floor(this.#share(name).items));
  }

  /** Takes items, also more than there are: what is owed is made up for first. */
  take(name: string, items: number): void {
    this.#share(name).items -= items;
  }

  #share(name: string): Share {
    const nowMs = this.now();
    const burst = BURST_SECONDS * this.perSecond;
    const share = this.#byName.get(name) ?? { items: burst, atMs: nowMs };
    this.#byName.delete(name);
    this.#byName.set(name, share);
    if (this.#byName.size > this.namesMax) this.#byName.delete(this.#byName.keys().next().value!);
    const gained = (Math.max(0, nowMs - share.atMs) * this.perSecond) / 1000;
    share.items = Math.min(burst, share.items + gained);
    share.atMs = nowMs;
    return share;
  }
}
