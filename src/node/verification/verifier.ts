import { LIMITS } from "../../core/limits.js";
import type { Item } from "../replica/item.js";
import { isAuthored, proofOf, verifySignature } from "../replica/signature.js";
import { VerificationPool } from "./pool.js";

/**
 * Checks signatures of items: integrity at once, authors on other threads. Each digest is checked once: what is held
 * is known by others, and what was checked lately (on its way to the disk, refused for its age) is remembered here.
 */
export class Verifier {
  #verdicts = new Map<string, boolean | Promise<boolean>>();
  /** The generation before: forgotten as a whole, since a map gets slow when its first entry is deleted again and again. */
  #older = new Map<string, boolean | Promise<boolean>>();
  readonly #pool = new VerificationPool();

  /** So much waits to be checked that what can come another way should. */
  get isOverloaded(): boolean {
    return this.#pool.isOverloaded;
  }

  /**
   * @returns whether each is valid, in their order; at once when none is of a scheme that takes long. Rejects with
   * `stopping` when the node closes first.
   */
  check(items: readonly Item[]): readonly boolean[] | Promise<readonly boolean[]> {
    const verdicts = items.map((item) =>
      isAuthored(item.signature) ? this.#author(item) : verifySignature(item),
    );
    return verdicts.every((verdict) => typeof verdict === "boolean") ? verdicts : Promise.all(verdicts);
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  #author(item: Item): boolean | Promise<boolean> {
    const known = this.#verdicts.get(item.digest) ?? this.#older.get(item.digest);
    if (known !== undefined) return known;
    const proof = proofOf(item);
    if (!proof) return false;
    const verdicts = this.#generation();
    const verdict = this.#pool.check(proof);
    verdict.then(
      (valid) => verdicts.set(item.digest, valid),
      () => verdicts.delete(item.digest),
    );
    verdicts.set(item.digest, verdict);
    return verdict;
  }

  /** Where a verdict is kept that is asked for now. */
  #generation(): Map<string, boolean | Promise<boolean>> {
    if (this.#verdicts.size >= LIMITS.verdictsMax / 2) {
      this.#older = this.#verdicts;
      this.#verdicts = new Map();
    }
    return this.#verdicts;
  }
}
