import { randomInt } from "node:crypto";
import { type Load, type LoadResult, runLoad } from "./load.js";
import { type CompleteSimulateOptions, completeSimulateOptions, type SimulateOptions } from "./options.js";
import { OwnHub } from "./own-hub.js";
import { rolesOf } from "./protocol/role.js";
import { reportOf, type SimulationReport } from "./report.js";

/**
 * Loads a hub with clients that send to all others, checks every delivery, and says what it cost. The clients live in
 * processes of their own; none is left behind, whatever happens.
 * @throws invalidOption, unreachable, notHubcast, connectionLost; the reason of `signal`. Faulty delivery is no
 *   error: see `proof` of the report
 */
export async function simulateHub(options: SimulateOptions = {}): Promise<SimulationReport> {
  const complete = completeSimulateOptions(options);
  if (complete.chaos === 0) return reportOf(complete, await runOnce(complete, "load"), undefined);
  const baseline = await runOnce(complete, "baseline");
  return reportOf(complete, await runOnce(complete, "chaos"), baseline);
}

async function runOnce(options: CompleteSimulateOptions, run: Load["run"]): Promise<LoadResult> {
  const { addresses, token, tls, clients, messages, size, workers, timeoutMs, signal, onProgress } = options;
  signal.throwIfAborted();
  const hub =
    addresses.length > 0 ? undefined : await OwnHub.start({ clientsMax: Math.max(10_000, clients) });
  try {
    const load: Load = {
      addresses: hub ? [{ host: "127.0.0.1", port: hub.port }] : addresses,
      ...(token !== undefined && { token }),
      ...(tls !== undefined && hub === undefined && { tls }),
      ...{ clients, messages, size, workers, timeoutMs, run },
      intervalUs: options.intervalMs * 1_000,
      tag: randomInt(2 ** 32),
      roles: rolesOf(clients, options.chaos),
      chaosOn: run === "chaos",
      lists: "same",
      echoes: false,
    };
    return await runLoad(load, hub, onProgress, signal);
  } finally {
    await hub?.stop();
  }
}

export type { SimulateOptions } from "./options.js";
export { reportPage } from "./page/index.js";
export type { PairReport, Proof } from "./protocol/proof.js";
export type { Moment } from "./protocol/timeline.js";
export type { Verdict } from "./protocol/verdict.js";
export type { Isolation, Quantiles, SimulationReport, Traffic } from "./report.js";
export type { Snapshot } from "./snapshot.js";
