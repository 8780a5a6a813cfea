export interface TokenBucketOptions {
  /** Tokens that a bucket gains in a second... */
  readonly perSecond: number;
  /** ... and holds at most. */
  readonly burst: number;
  /** Names remembered: of more, the one used longest ago is forgotten, and has a full bucket again. */
  readonly namesMax: number;
}

/** What one name has left, and when that was reckoned. Its owner takes tokens, also more than there are. */
interface TokenBucket {
  tokens: number;
  atMs: number;
}

/** A token bucket for each name. @typeParam Notes what the owner writes on a bucket, besides */
export class TokenBuckets<Notes extends object = object> {
  /** Used last stands last. */
  readonly #byName = new Map<string, TokenBucket & Partial<Notes>>();

  constructor(private readonly options: TokenBucketOptions) {}

  /** The bucket of a name, filled up to now. */
  of(name: string, nowMs: number): TokenBucket & Partial<Notes> {
    const { perSecond, burst, namesMax } = this.options;
    const bucket = this.#byName.get(name) ?? ({ tokens: burst, atMs: nowMs } as TokenBucket & Partial<Notes>);
    this.#byName.delete(name);
    this.#byName.set(name, bucket);
    if (this.#byName.size > namesMax) this.#byName.delete(this.#byName.keys().next().value!);
    const gained = (Math.max(0, nowMs - bucket.atMs) * perSecond) / 1_000;
    bucket.tokens = Math.min(burst, bucket.tokens + gained);
    bucket.atMs = nowMs;
    return bucket;
  }
}
