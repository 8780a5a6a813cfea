import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { Proof } from "../replica/ed25519.js";

interface Asker {
  resolve(verdicts: Uint8Array): void;
  reject(error: Error): void;
}

/** Bytes of a check besides its message: key, signature, length of the message. */
const FRAMING_BYTES = 32 + 64 + 4;

/** This side of a thread that checks signatures: batches go over as one buffer, verdicts come back in their order. */
export class VerificationThread {
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
