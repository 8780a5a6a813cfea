import { hash } from "node:crypto";
import { readFileSync, statSync, unwatchFile, watchFile } from "node:fs";
import { stat } from "node:fs/promises";
import { HubcastError } from "../core/errors.js";
import type { Output } from "./output.js";

/** How often a file is looked at: by name, so that one that is renamed over it, or sits on a share, is seen too. */
const LOOK_MS = 500;
/** Files that belong together are not written at one instant: what cannot be used is read once more after this long. */
const AGAIN_MS = 1_500;

/** Files that a running server reads again when they change, or when it is told to. */
export class WatchedFiles {
  readonly #watches: Watch[] = [];
  readonly #digestsAtStart: ReadonlyMap<string, string>;

  /** @param paths to be watched; they are looked at before the server reads them, so that no change goes untold */
  constructor(
    private readonly output: Output,
    paths: readonly (string | undefined)[],
  ) {
    const given = paths.filter((path) => path !== undefined);
    this.#digestsAtStart = new Map(given.map((path) => [path, digestOf(path)]));
  }

  /**
   * @param paths files of one thing, such as a certificate and its key; nothing is watched when a path is undefined
   * @param take reads them and puts them to use; when it throws twice in a row, the user is warned
   * @param taken told to the user when what they hold is new, once
   * @param kept ends the warning: what stays in force
   */
  add(
    paths: readonly (string | undefined)[],
    take: () => Promise<void>,
    { taken, kept }: { readonly taken: string; readonly kept: string },
  ): void {
    const given = paths.filter((path) => path !== undefined);
    if (given.length < paths.length) return;
    const failed = ({ message }: Error) => this.output.warning(`${message}; ${kept}`);
    const digest = given.map((path) => this.#digestsAtStart.get(path)).join(" ");
    this.#watches.push(new Watch(given, digest, take, () => this.output.note(taken), failed));
  }

  /** Reads all now. */
  look(): void {
    for (const watch of this.#watches) watch.look();
  }

  stop(): void {
    for (const watch of this.#watches.splice(0)) watch.stop();
  }
}

class Watch {
  #again: NodeJS.Timeout | undefined;
  #stopped = false;
  /** Of the contents in force. */
  #digest: string;

  constructor(
    private readonly paths: readonly string[],
    digest: string,
    private readonly take: () => Promise<void>,
    private readonly taken: () => void,
    private readonly failed: (error: Error) => void,
  ) {
    this.#digest = digest;
    for (const path of paths) watchFile(path, { interval: LOOK_MS }, this.look);
    // They may have changed between their first reading and now.
    this.look();
  }

  readonly look = (): void => {
    this.#read().catch(() => {
      if (this.#stopped) return;
      clearTimeout(this.#again);
      this.#again = setTimeout(() => {
        this.#read().catch((error: Error) => this.#stopped || this.failed(error));
      }, AGAIN_MS);
    });
  };

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#again);
    for (const path of this.paths) unwatchFile(path, this.look);
  }

  async #read(): Promise<void> {
    // Each reading of a pipe that nobody writes to would take a thread for good, of four that there are.
    for (const path of this.paths) {
      if (!(await stat(path)).isFile())
        throw new HubcastError("usage", `${path} is no file that can be read again`);
    }
    const digest = this.#digestNow();
    if (this.#stopped || digest === this.#digest) return;
    await this.take();
    // One of them may have changed meanwhile. Then the watch sees that, and they are read again.
    if (digest === this.#digest || digest !== this.#digestNow()) return;
    this.#digest = digest;
    this.taken();
  }

  #digestNow(): string {
    return this.paths.map(digestOf).join(" ");
  }
}

/** @returns "" where there is no file that can be read: whoever puts it to use says what is wrong with it */
function digestOf(path: string): string {
  try {
    return statSync(path).isFile() ? hash("sha256", readFileSync(path)) : "";
  } catch {
    return "";
  }
}
