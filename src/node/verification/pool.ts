import { availableParallelism } from "node:os";
import { HubcastError } from "../../core/errors.js";
import { LIMITS } from "../../core/limits.js";
import type { Proof } from "../replica/ed25519.js";
import { VerificationThread } from "./verification-thread.js";

interface Waiting {
  readonly proof: Proof;
  resolve(valid: boolean): void;
  reject(error: unknown): void;
}

/** Batches a thread is given at a time: while it works on one the next is there already. */
const BATCHES_PER_THREAD = 2;

/** One core is left to the node itself. */
const THREADS_MAX = Math.min(Math.max(availableParallelism() - 1, 1), LIMITS.verificationThreadsMax);

/** Spreads checks over threads, in small batches, first come first served. The first check starts the first thread. */
export class VerificationPool {
  #queue: Waiting[] = [];
  #queuedBytes = 0;
  #dispatching = false;
  #closed = false;
  readonly #threads = new Set<VerificationThread>();

  get isOverloaded(): boolean {
    return (
      this.#queue.length >= LIMITS.verificationQueueMax ||
      this.#queuedBytes >= LIMITS.verificationQueueBytesMax
    );
  }

  /** Rejects with `stopping` when the pool closes first. */
  check(proof: Proof): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ proof, resolve, reject });
      this.#queuedBytes += proof.message.length;
      if (this.#dispatching) return;
      this.#dispatching = true;
      // Requests of one turn of the event loop go over together: each batch wakes a thread, and its reply wakes this one.
      setImmediate(() => {
        this.#dispatching = false;
        this.#dispatch();
      });
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#dispatch();
    await Promise.all(Array.from(this.#threads, (thread) => thread.close()));
  }

  #dispatch(): void {
    if (this.#closed) {
      for (const { reject } of this.#take(this.#queue.length)) reject(stopping());
      return;
    }
    let taken = 0;
    while (taken < this.#queue.length) {
      const thread = this.#freeThread();
      if (!thread) break;
      const end = batchEnd(this.#queue, taken);
      void this.#give(thread, this.#queue.slice(taken, end));
      taken = end;
    }
    if (taken > 0) this.#take(taken);
  }

  #take(count: number): Waiting[] {
    const taken = this.#queue.slice(0, count);
    this.#queue = this.#queue.slice(count);
    for (const { proof } of taken) this.#queuedBytes -= proof.message.length;
    return taken;
  }

  /** The least busy one; a new one when all are busy and there may be more. */
  #freeThread(): VerificationThread | undefined {
    const [best] = [...this.#threads].sort((a, b) => a.batches - b.batches);
    if ((!best || best.batches > 0) && this.#threads.size < THREADS_MAX) {
      const thread = new VerificationThread(() => this.#threads.delete(thread));
      this.#threads.add(thread);
      return thread;
    }
    return best && best.batches < BATCHES_PER_THREAD ? best : undefined;
  }

  async #give(thread: VerificationThread, batch: readonly Waiting[]): Promise<void> {
    try {
      const verdicts = await thread.check(batch.map(({ proof }) => proof));
      for (const [index, { resolve }] of batch.entries()) resolve(verdicts[index] === 1);
    } catch (error) {
      for (const { reject } of batch) reject(this.#closed ? stopping() : error);
    }
    this.#dispatch();
  }
}

/** Where the batch that begins at `start` ends: so many checks, and of large items fewer. */
function batchEnd(queue: readonly Waiting[], start: number): number {
  let bytes = 0;
  let end = start;
  while (end < queue.length && end - start < LIMITS.verificationBatchMax) {
    bytes += queue[end]!.proof.message.length;
    if (end > start && bytes > LIMITS.verificationBatchBytesMax) break;
    end++;
  }
  return end;
}

function stopping(): HubcastError {
  return new HubcastError("stopping", "the node is shutting down");
}
