/**
 * The interface of every protocol machine: inputs in, effects out, without a clock or randomness of its own. The shell
 * drives it over real sockets and the simulator over a virtual network. Every change goes through `handle`; a shell may read
 * state beside it. The hub's machine returns effects that it uses again (hub/machine/machine.ts).
 */
export interface Machine<Input, Effect> {
  /**
   * Handles one input. @returns its effects, in the order in which they must be carried out
   * @param nowMs epoch ms, by a clock of the caller that never jumps and never goes back
   */
  handle(input: Input, nowMs: number): readonly Effect[];

  /** The instant (epoch ms) at which the machine wants a `woke` input; `Infinity` when it waits for nothing. */
  readonly wakeAtMs: number;
}

/** A source of numbers in [0, 1): `Math.random` in a shell, a seeded one in the simulator. */
export type Random = () => number;

/** Hex digits drawn at random, one draw each. Unique, not secret: `node:crypto` would take 1 MiB for it. */
export function hexId(digits: number, random: Random): string {
  return Array.from({ length: digits }, () => Math.floor(random() * 16).toString(16)).join("");
}

/** One of a list, drawn at random; undefined only for an empty list. */
export function pick<T>(list: readonly T[], random: Random): T | undefined {
  return list[Math.floor(random() * list.length)];
}

/** Cuts a list into slices of so many entries, in their order; the last may be shorter. */
export function slicesOf<T>(list: readonly T[], entriesMax: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / entriesMax) }, (_, index) =>
    list.slice(index * entriesMax, (index + 1) * entriesMax),
  );
}

/** Takes one out of a list at random, which is not empty. The last one moves to its place. */
export function draw<T>(list: T[], random: Random): T {
  const at = Math.floor(random() * list.length);
  const drawn = list[at]!;
  list[at] = list.at(-1)!;
  list.pop();
  return drawn;
}
