import { LIMITS } from "../../core/limits.js";

/**
 * Digests refused for good, until they would have expired anyway: they are not asked for again. Bounded; past the
 * bound the oldest is forgotten, which costs one more fetch of it, never an error.
 */
export class Refusals {
  readonly #expiresAtMs = new Map<string, number>();

  has(digest: string): boolean {
    return this.#expiresAtMs.size > 0 && this.#expiresAtMs.has(digest);
  }

  add(digest: string, expiresAtMs: number): void {
    this.#expiresAtMs.set(digest, expiresAtMs);
    if (this.#expiresAtMs.size <= LIMITS.refusedDigestsMax) return;
    const [oldest] = this.#expiresAtMs.keys();
    this.#expiresAtMs.delete(oldest!);
  }

  /** Lasting refusals depend on the policy: under another policy the items are asked for again. */
  clear(): void {
    this.#expiresAtMs.clear();
  }

  /** Looks at the longest known ones only: they are nearly in order of expiry, and the rest wait their turn. */
  forgetExpired(nowMs: number): void {
    for (const [digest, expiresAtMs] of this.#expiresAtMs) {
      if (expiresAtMs > nowMs) return;
      this.#expiresAtMs.delete(digest);
    }
  }
}
