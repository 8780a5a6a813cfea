import type { NodeLogger } from "./options.js";
import type { ReplicaEffect, ReplicaInput } from "./protocol/messages.js";
import type { Storage } from "./storage/port.js";

/** Takes the replica's commits to the storage, and its answers back. */
export class Committer {
  #isFailing = false;

  constructor(
    private readonly storage: Storage,
    private readonly tell: (input: ReplicaInput) => void,
    private readonly logger: NodeLogger,
  ) {}

  /** The last commit failed: posts are refused until one succeeds. */
  get isFailing(): boolean {
    return this.#isFailing;
  }

  commit({ commit, add, remove }: Extract<ReplicaEffect, { type: "commit" }>): void {
    this.storage.commit({ add, remove }).then(
      () => {
        if (this.#isFailing) this.logger.warn({}, "the storage takes commits again");
        this.#isFailing = false;
        this.tell({ type: "committed", commit });
      },
      (error: Error) => {
        // Once, not for every post that is refused until then.
        if (!this.#isFailing) this.logger.error({ error: error.message }, "the storage refused a commit");
        this.#isFailing = true;
        this.tell({ type: "commitFailed", commit });
      },
    );
  }

  /** Resolves when every commit is done and answered, and the storage closed. */
  close(): Promise<void> {
    return this.storage.close();
  }
}
