import { randomInt } from "node:crypto";
import { HubcastError } from "../../core/errors.js";
import { hostAndPort } from "../../core/hosts.js";
import { openFiles } from "../../runtime/listen.js";
import { connectToHub } from "../client/index.js";
import { HUB_LIMITS } from "../machine/limits.js";
import { type Load, type LoadResult, runLoad } from "./load.js";
import { type CompleteSimulateOptions, completeSimulateOptions, type SimulateOptions } from "./options.js";
import { OwnHub } from "./processes.js";
import { rolesOf } from "./proof/statistics.js";
import { reportOf, type SimulationReport } from "./report.js";

/**
 * Loads a hub with clients that send to all others, checks every delivery, and reports the cost. The clients live in
 * processes of their own, which always end with the run.
 * @throws invalidOption, unreachable, notHubcast, connectionLost; the reason of `signal`. Faulty delivery is no
 * error: see `proof` of the report
 */
export async function simulateHub(options: SimulateOptions = {}): Promise<SimulationReport> {
  const complete = completeSimulateOptions(options);
  checkFiles(complete);
  const startedAtMs = Date.now();
  if (complete.chaos === 0)
    return reportOf(startedAtMs, complete, await runOnce(complete, "load"), undefined);
  const baseline = await runOnce(complete, "baseline");
  return reportOf(startedAtMs, complete, await runOnce(complete, "chaos"), baseline);
}

/** Open files of each process besides client sockets. */
const FILES_BESIDES = 40;

/** Before anything is started. @throws ownLimit */
function checkFiles({ addresses, clients, workers }: CompleteSimulateOptions): void {
  const ofHub = addresses.length === 0 ? clients + HUB_LIMITS.filesReserved : 0;
  const needed = FILES_BESIDES + Math.max(ofHub, Math.ceil(clients / workers));
  const max = openFiles()?.max ?? Number.POSITIVE_INFINITY;
  if (needed <= max) return;
  throw new HubcastError(
    "ownLimit",
    `${clients} clients need ${needed} open files; a process may have ${max}`,
    {
      suggestions: [`Raise the limit (ulimit -n ${needed}), or pass fewer --clients.`],
    },
  );
}

/** Version 1 does not tell why the hub closes connections: a client of version 2 asks. */
async function refusal(error: unknown, options: CompleteSimulateOptions): Promise<HubcastError | undefined> {
  const [address] = options.addresses;
  if (address === undefined || !(error instanceof HubcastError) || error.code !== "notHubcast")
    return undefined;
  const { token, tls } = options;
  const asked = {
    ...(token !== undefined && { token }),
    ...(tls !== undefined && { tls }),
    reconnect: false,
  };
  try {
    const client = await connectToHub(hostAndPort(address), asked);
    await client.close();
  } catch (reason) {
    if (reason instanceof HubcastError && reason.code !== "notHubcast") return reason;
  }
  return undefined;
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
    return await runLoad(load, hub, onProgress, signal).catch(async (error: unknown) => {
      throw (await refusal(error, options)) ?? error;
    });
  } finally {
    await hub?.stop();
  }
}

export type { SimulateOptions, Snapshot } from "./options.js";
export { reportPage } from "./page.js";
export type { PairReport, Proof } from "./proof/proof.js";
export type { Moment, Verdict } from "./proof/statistics.js";
export type { Isolation, Quantiles, SimulationReport, Traffic } from "./report.js";
