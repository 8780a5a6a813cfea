import { LIMITS } from "../../core/limits.js";

/** A node that this one knows of and cannot meet. */
export interface Stranger {
  /** Its id; the address where that is unknown. */
  readonly id: string;
  readonly name: string;
  readonly address: string;
  /** Absent: an address that was not reached. `twin`: it has this node's own id. */
  readonly code?: "versionDiffers" | "clusterKeyDiffers" | "twin";
  /** For people. */
  readonly reason: string;
  readonly sinceMs: number;
}

/** A node of another version is remembered for so long after it was met last: it dials this one more often than that. */
const FORGOTTEN_MS = 90_000;

/** Nodes of another version or cluster key, and a twin that discovery shows. */
export class Strangers {
  readonly #byId = new Map<string, Stranger & { readonly seenAtMs: number }>();

  /** @param notify told of each that is new, or a stranger for another reason than before */
  constructor(private readonly notify: (id: string) => void) {}

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  get(id: string): Stranger | undefined {
    return this.#byId.get(id);
  }

  all(): IterableIterator<Stranger> {
    return this.#byId.values();
  }

  /** A node of another version was met just now. */
  met(stranger: Stranger): void {
    this.#add(stranger, stranger.sinceMs);
  }

  /** Discovery shows the node until `forget`. */
  shown(stranger: Stranger): void {
    this.#add(stranger, Number.POSITIVE_INFINITY);
  }

  /** Discovery shows a node that can be met: it has this node's cluster key by now. */
  found(id: string): void {
    if (this.#byId.get(id)?.code === "clusterKeyDiffers") this.#byId.delete(id);
  }

  forget(id: string): void {
    this.#byId.delete(id);
  }

  forgetOld(nowMs: number): void {
    for (const { id, seenAtMs } of this.#byId.values())
      if (nowMs - seenAtMs > FORGOTTEN_MS) this.#byId.delete(id);
  }

  #add(stranger: Stranger, seenAtMs: number): void {
    const known = this.#byId.get(stranger.id);
    this.#byId.set(stranger.id, { ...stranger, sinceMs: known?.sinceMs ?? stranger.sinceMs, seenAtMs });
    if (this.#byId.size > LIMITS.strangersMax) this.#byId.delete(this.#byId.keys().next().value!);
    if (known?.code !== stranger.code) this.notify(stranger.id);
  }
}
