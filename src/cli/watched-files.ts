import { unwatchFile, watchFile } from "node:fs";
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

  constructor(private readonly output: Output) {}

  /**
   * @param paths files of one thing, such as a certificate and its key; nothing is watched when a path is undefined
   * @param take reads them and puts them to use; when it throws twice in a row, the user is warned
   * @param kept ends the warning: what stays in force
   */
  add(paths: readonly (string | undefined)[], take: () => Promise<void>, kept: string): void {
    const given = paths.filter((path) => path !== undefined);
    if (given.length < paths.length) return;
    this.#watches.push(new Watch(given, take, ({ message }) => this.output.warning(`${message}; ${kept}`)));
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

  constructor(
    private readonly paths: readonly string[],
    private readonly take: () => Promise<void>,
    private readonly failed: (error: Error) => void,
  ) {
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
    if (!this.#stopped) await this.take();
  }
}
