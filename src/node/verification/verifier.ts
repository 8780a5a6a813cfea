import { availableParallelism } from "node:os";
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { HubcastError } from "../../core/errors.js";
import { LIMITS } from "../../core/limits.js";
import type { Item } from "../replica/item.js";
import { isAuthored, type Proof, proofOf, verifySignature } from "../replica/signature.js";

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
class VerificationPool {
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
    try {
      while (taken < this.#queue.length) {
        const thread = this.#freeThread();
        if (!thread) break;
        const end = batchEnd(this.#queue, taken);
        void this.#give(thread, this.#queue.slice(taken, end));
        taken = end;
      }
      this.#take(taken);
    } catch (error) {
      for (const { reject } of this.#take(this.#queue.length)) reject(error);
    }
  }

  #take(count: number): Waiting[] {
    const taken = this.#queue.slice(0, count);
    this.#queue = this.#queue.slice(count);
    for (const { proof } of taken) this.#queuedBytes -= proof.message.length;
    return taken;
  }

  /**
   * The least busy one; a new one when all are busy and there may be more.
   * @throws what the system says where it has no thread to give, and there is none to wait for
   */
  #freeThread(): VerificationThread | undefined {
    const [best] = [...this.#threads].sort((a, b) => a.batches - b.batches);
    if ((!best || best.batches > 0) && this.#threads.size < THREADS_MAX) {
      try {
        const thread = new VerificationThread(() => this.#threads.delete(thread));
        this.#threads.add(thread);
        return thread;
      } catch (error) {
        if (!best) throw error;
      }
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

/** The error of calls that a node no longer takes. */
export function stopping(): HubcastError {
  return new HubcastError("stopping", "the node is shutting down");
}

interface Asker {
  resolve(verdicts: Uint8Array): void;
  reject(error: Error): void;
}

/** Bytes of a check besides its message: key, signature, length of the message. */
const FRAMING_BYTES = 32 + 64 + 4;

/** This side of a thread that checks signatures: batches go over as one buffer, verdicts come back in their order. */
class VerificationThread {
  readonly #worker: Worker;
  readonly #askers: Asker[] = [];

  /** @param ended called once, when the thread is gone for whatever reason */
  constructor(ended: () => void) {
    // This file's own extension: .js as built, .ts when tests run the source.
    const entry = new URL(`./thread${extname(import.meta.url)}`, import.meta.url);
    this.#worker = new Worker(entry, { execArgv: ["--disable-warning=ExperimentalWarning"] });
    this.#worker.on("message", (verdicts: Uint8Array) => this.#askers.shift()?.resolve(verdicts));
    let failure = new Error("the verification thread ended");
    this.#worker.on("error", (error: Error) => {
      failure = error;
    });
    this.#worker.on("exit", () => {
      ended();
      for (const { reject } of this.#askers.splice(0)) reject(failure);
    });
  }

  /** Batches that it has not answered. */
  get batches(): number {
    return this.#askers.length;
  }

  /** @returns one byte a proof: 1 when it is valid. Rejects when the thread ends first */
  check(proofs: readonly Proof[]): Promise<Uint8Array> {
    const batch = pack(proofs);
    this.#worker.postMessage(batch, [batch.buffer]);
    return new Promise((resolve, reject) => void this.#askers.push({ resolve, reject }));
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** For each: public key, signature, u32 length (big-endian) and message. */
function pack(proofs: readonly Proof[]): Uint8Array<ArrayBuffer> {
  const bytes = proofs.reduce((sum, { message }) => sum + FRAMING_BYTES + message.length, 0);
  const batch = new Uint8Array(bytes);
  const view = new DataView(batch.buffer);
  let end = 0;
  for (const { publicKey, signature, message } of proofs) {
    batch.set(publicKey, end);
    batch.set(signature, end + 32);
    view.setUint32(end + 96, message.length);
    batch.set(message, end + FRAMING_BYTES);
    end += FRAMING_BYTES + message.length;
  }
  return batch;
}
