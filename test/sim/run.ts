import { HubcastError } from "../../src/core/errors.js";
import type { ReplicaOptions } from "../../src/node/replica/context.js";
import type { Replica } from "../../src/node/replica/replica.js";
import { type Report, type SimulationOptions, simulate } from "../../src/sim/index.js";

/** Runs a world to its end. @throws with the line that replays it in the message, so that a failing test shows it */
export function runWorld(
  options: Partial<SimulationOptions>,
  makeReplica?: (options: ReplicaOptions) => Replica,
): Report {
  const world = simulate(options, makeReplica);
  try {
    for (;;) {
      const step = world.next();
      if (step.done) return step.value;
    }
  } catch (error) {
    if (!(error instanceof HubcastError)) throw error;
    throw new Error(`${error.code}: ${error.message}\n${error.suggestions.join("\n")}`, {
      cause: error.cause,
    });
  }
}
