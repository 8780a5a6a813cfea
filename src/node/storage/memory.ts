import type { Storage } from "./port.js";

const DONE = Promise.resolve();

/** Keeps nothing beyond the process: the replica's own memory is the store. */
export function memoryStorage(): Storage {
  return {
    isDurable: false,
    position: undefined,
    unlogged: new Set(),
    leftOut: 0,
    async *load() {},
    commit: () => DONE,
    close: () => DONE,
  };
}
