import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { type ErrorCode, HubcastError } from "../../core/errors.js";
import type { Beat, Order, Share, Word, WorkerResult } from "./orders.js";

/** The worker processes of one run. Whatever goes wrong in one ends the run. */
export class Crew {
  readonly #workers: Worker[];

  /** @param shares one for each worker */
  constructor(
    private readonly shares: readonly Share[],
    onBeat: (worker: number, beat: Beat) => void,
  ) {
    this.#workers = shares.map((_, index) => new Worker((beat) => onBeat(index, beat)));
  }

  /** @returns ids of all clients, in their order @throws unreachable, notHubcast */
  async open(): Promise<number[]> {
    const opened = await this.#each((worker, index) =>
      worker.ask({ type: "open", share: this.shares[index]! }, "opened"),
    );
    return opened.flatMap(({ ids }) => ids);
  }

  /** The barrier: resolves when all clients see all others. */
  async meet(ids: readonly number[]): Promise<void> {
    await this.#each((worker) => worker.ask({ type: "meet", ids }, "met"));
  }

  go(startUs: number): void {
    for (const worker of this.#workers) worker.tell({ type: "go", startUs });
  }

  async finish(): Promise<WorkerResult[]> {
    const words = await this.#each((worker) => worker.ask({ type: "finish" }, "result"));
    return words.map(({ result }) => result);
  }

  /** Rejects when a worker fails or ends on its own. */
  async failed(): Promise<never> {
    return await Promise.race(this.#workers.map((worker) => worker.failed));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
  }

  async #each<T>(work: (worker: Worker, index: number) => Promise<T>): Promise<T[]> {
    return await Promise.all(this.#workers.map(work));
  }
}

class Worker {
  readonly failed: Promise<never>;
  readonly #child: ChildProcess;
  readonly #answers = new Map<Word["type"], (word: Word) => void>();
  #stopping = false;

  constructor(onBeat: (beat: Beat) => void) {
    this.#child = fork(new URL("./worker.js", import.meta.url), { serialization: "advanced" });
    const failed = Promise.withResolvers<never>();
    this.failed = failed.promise;
    this.failed.catch(() => {});
    this.#child.on("message", (word: Word) => {
      if (word.type === "beat") onBeat(word);
      else if (word.type === "failed") {
        const { code, message, suggestions } = word;
        failed.reject(new HubcastError(code as ErrorCode, message, { suggestions }));
      } else this.#answers.get(word.type)?.(word);
    });
    this.#child.once("exit", (code, signal) => {
      if (!this.#stopping) failed.reject(new HubcastError("bug", `a worker ended: ${signal ?? code}`));
    });
  }

  tell(order: Order): void {
    this.#child.send(order, () => {});
  }

  async ask<T extends Word["type"]>(order: Order, answer: T): Promise<Extract<Word, { type: T }>> {
    const answered = new Promise<Word>((resolve) => {
      this.#answers.set(answer, resolve);
    });
    this.tell(order);
    return (await Promise.race([answered, this.failed])) as Extract<Word, { type: T }>;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }
}
