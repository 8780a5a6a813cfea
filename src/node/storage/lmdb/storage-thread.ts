import { once } from "node:events";
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { StorageFault, StorageReply, StorageRequest, ThreadFiles } from "./messages.js";

/** What the thread said it could not do. */
export class ThreadError extends Error {
  override readonly name = "ThreadError";

  constructor(readonly fault: StorageFault) {
    super(fault.message);
  }
}

interface Asker {
  resolve(reply: StorageReply): void;
  reject(error: ThreadError): void;
}

/** This side of the thread that owns the files: requests go over, replies come back in their order. */
export class StorageThread {
  readonly #worker: Worker;
  readonly #askers: Asker[] = [];
  #ended: StorageFault | undefined;

  constructor(files: ThreadFiles) {
    // This file's own extension: .js as built, .ts when tests run the source.
    const entry = new URL(`./thread${extname(import.meta.url)}`, import.meta.url);
    // On Node 22 the SQLite module warns, once, that it is new.
    this.#worker = new Worker(entry, {
      workerData: files,
      execArgv: ["--disable-warning=ExperimentalWarning"],
    });
    this.#worker.on("message", (reply: StorageReply) => this.#replied(reply));
    this.#worker.on("error", (error: Error) => this.#end(error.message));
    this.#worker.on("exit", () => this.#end("the storage is closed"));
  }

  /** Resolves when the lock on the directory is ours. @throws ThreadError; the thread is gone then */
  async locked(): Promise<void> {
    await this.#reply();
  }

  /** @throws ThreadError */
  async ask(
    request: Exclude<StorageRequest, { type: "close" }>,
    transfer: readonly Uint8Array[] = [],
  ): Promise<StorageReply> {
    if (this.#ended) throw new ThreadError(this.#ended);
    const reply = this.#reply();
    this.#worker.postMessage(
      request,
      transfer.map(({ buffer }) => buffer as ArrayBuffer),
    );
    return await reply;
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    const exit = once(this.#worker, "exit");
    this.#worker.postMessage({ type: "close" } satisfies StorageRequest);
    await exit;
  }

  #reply(): Promise<StorageReply> {
    return new Promise((resolve, reject) => void this.#askers.push({ resolve, reject }));
  }

  #replied(reply: StorageReply): void {
    const asker = this.#askers.shift();
    if (reply.type === "failed") asker?.reject(new ThreadError(reply.fault));
    else asker?.resolve(reply);
  }

  #end(message: string): void {
    this.#ended ??= { message, code: 0 };
    for (const asker of this.#askers.splice(0)) asker.reject(new ThreadError(this.#ended));
  }
}
