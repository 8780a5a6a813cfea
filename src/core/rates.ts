import type { Random } from "./machine.js";

/** Bounds of waiting times. */
export interface Backoff {
  /** Before the second attempt at most. */
  readonly firstMs: number;
  readonly mostMs: number;
}

const CONNECTING: Backoff = { firstMs: 100, mostMs: 10_000 };

/**
 * How long to wait before trying again: anything up to a bound that doubles with each attempt, so that the clients
 * of a server that restarts do not come back all at once.
 * @param attempt 0 for the first
 * @param bounds default: those of connecting
 * @returns ms, under `mostMs`
 */
export function backoffMs(attempt: number, random: Random, bounds: Backoff = CONNECTING): number {
  return random() * Math.min(bounds.mostMs, bounds.firstMs * 2 ** attempt);
}

interface TokenRate {
  /** Tokens that a bucket gains in a second... */
  readonly perSecond: number;
  /** ... and holds at most. */
  readonly burst: number;
}

export interface TokenBucketOptions extends TokenRate {
  /** Names remembered: of more, the one used longest ago is forgotten, and has a full bucket again. */
  readonly namesMax: number;
}

/** The tokens of one name, and when they were computed. Its owner may take more than there are. */
export interface TokenBucket {
  tokens: number;
  atMs: number;
}

/** Adds the tokens that a bucket has gained since it was last filled. */
export function fill(bucket: TokenBucket, { perSecond, burst }: TokenRate, nowMs: number): void {
  const gained = (Math.max(0, nowMs - bucket.atMs) * perSecond) / 1_000;
  bucket.tokens = Math.min(burst, bucket.tokens + gained);
  bucket.atMs = nowMs;
}

/** A token bucket for each name. @typeParam Notes further fields that the owner keeps in a bucket */
export class TokenBuckets<Notes extends object = object> {
  /** Used last stands last. */
  readonly #byName = new Map<string, TokenBucket & Partial<Notes>>();

  constructor(private readonly options: TokenBucketOptions) {}

  /** The bucket of a name, filled up to now. */
  of(name: string, nowMs: number): TokenBucket & Partial<Notes> {
    const { burst, namesMax } = this.options;
    const bucket = this.#byName.get(name) ?? ({ tokens: burst, atMs: nowMs } as TokenBucket & Partial<Notes>);
    this.#byName.delete(name);
    this.#byName.set(name, bucket);
    if (this.#byName.size > namesMax) this.#byName.delete(this.#byName.keys().next().value!);
    fill(bucket, this.options, nowMs);
    return bucket;
  }
}
