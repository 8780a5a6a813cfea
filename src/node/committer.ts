import type { LogPublisher } from "./log-publisher.js";
import type { NodeLogger } from "./option-kinds.js";
import type { CommitRefusal, ReplicaEffect, ReplicaInput } from "./replica/messages.js";
import type { Storage } from "./storage/port.js";

/** Takes the replica's commits to the storage, and to the cluster's log where there is one, and its answers back. */
export class Committer {
  #isFailing = false;
  /** Where the engine has a log; set before the first commit. */
  publisher: LogPublisher | undefined;
  /** With a log: the last commit that was asked for. Commits may finish out of order, and are reported in order. */
  #last: Promise<void> = Promise.resolve();

  constructor(
    private readonly storage: Storage,
    private readonly tell: (input: ReplicaInput) => void,
    private readonly logger: NodeLogger,
  ) {}

  /** The last commit failed: posts are refused until one succeeds. */
  get isFailing(): boolean {
    return this.#isFailing;
  }

  /** Stored items that were found damaged at the start, and left out. */
  get leftOut(): number {
    return this.storage.leftOut;
  }

  commit({ commit, add, remove, posted }: Extract<ReplicaEffect, { type: "commit" }>): void {
    const told = [() => this.#committed(commit), (error: Error) => this.#failed(commit, error)] as const;
    if (!this.publisher) {
      this.storage.commit({ add, remove }).then(...told);
      return;
    }
    const done = posted ? this.publisher.commitPosted(add) : this.publisher.commit({ add, remove });
    // The chain handles it, perhaps later.
    done.catch(() => {});
    this.#last = this.#last.then(() => done).then(...told);
  }

  /** Resolves when every commit is done and answered, and the storage closed. */
  async close(): Promise<void> {
    await this.#last;
    await this.publisher?.close();
    await this.storage.close();
  }

  #committed(commit: number): void {
    if (this.#isFailing) this.logger.warn({}, "the storage takes commits again");
    this.#isFailing = false;
    this.tell({ type: "committed", commit });
  }

  #failed(commit: number, error: Error & { readonly code?: string }): void {
    const code: CommitRefusal =
      error.code === "natsAway" || error.code === "natsFull" ? error.code : "storageFailed";
    if (code === "storageFailed") {
      // Once, not for every post that is refused until then.
      if (!this.#isFailing) this.logger.error({ error: error.message }, "the storage refused a commit");
      this.#isFailing = true;
    }
    this.tell({ type: "commitFailed", commit, code });
  }
}
