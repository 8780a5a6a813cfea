/**
 * What every protocol machine of hubcast looks like: facts in, orders out, no clock and no dice inside.
 * The shell that runs it over real sockets and the simulator that runs it over a virtual network call
 * the same two members, and nothing else.
 */
export interface Machine<Input, Effect> {
  /**
   * Takes one fact and returns the orders that follow from it, in the order they must be carried out.
   * @param nowMs the wall clock of whoever runs the machine, in epoch milliseconds
   */
  handle(input: Input, nowMs: number): readonly Effect[];

  /** The instant (epoch ms) at which the machine wants a `woke` input; `Infinity` when it waits for nothing. */
  readonly wakeAtMs: number;
}

/** A source of numbers in [0, 1): `Math.random` in a shell, a seeded one in the simulator. */
export type Random = () => number;
