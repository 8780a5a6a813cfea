import { TokenBuckets } from "../../core/token-buckets.js";

/** Seconds' worth that may be taken at once. */
const BURST_SECONDS = 10;

/**
 * Shares of items: so many a second for each name, and a burst of ten seconds' worth. The names remembered are bounded;
 * the one used longest ago is forgotten, and has its whole share again.
 */
export class Shares {
  readonly #buckets: TokenBuckets;

  constructor(
    readonly perSecond: number,
    namesMax: number,
    private readonly now: () => number,
  ) {
    this.#buckets = new TokenBuckets({ perSecond, burst: BURST_SECONDS * perSecond, namesMax });
  }

  /** Whole items that this name may take now; 0 too when it took more than it had. */
  left(name: string): number {
    return Math.max(0, Math.floor(this.#buckets.of(name, this.now()).tokens));
  }

  /** Takes items, also more than there are: what is owed is made up for first. */
  take(name: string, items: number): void {
    this.#buckets.of(name, this.now()).tokens -= items;
  }
}
