import { startStep } from "../../runtime/start-step.js";
import type { CompleteNodeOptions } from "../options.js";
import type { Storage } from "../storage/port.js";
import type { Cluster, ClusterListener } from "./port.js";

interface OpenOptions {
  readonly options: CompleteNodeOptions;
  readonly listener: ClusterListener;
  readonly storage: Storage;
  readonly privateKey?: Uint8Array;
}

/** The engine that the options choose. @throws portInUse, natsUnreachable and their like, deadline */
export async function openCluster(open: OpenOptions): Promise<Cluster> {
  const { engine, logger } = open.options;
  const late = (cluster: Cluster) => cluster.close();
  return await startStep(`opening the engine ${engine.name}`, openEngine(open), { logger, late });
}

/** Only the chosen one is loaded. */
async function openEngine({ options, listener, storage, privateKey }: OpenOptions): Promise<Cluster> {
  const { cluster, engine, retentionMs } = options;
  const own = { cluster, listener, ...(privateKey && { privateKey }) };
  if (engine.name === "nats") {
    const { openNatsCluster } = await import("./nats/index.js");
    const { position } = storage;
    return await openNatsCluster({ ...own, ...engine, retentionMs, ...(position && { position }) });
  }
  const { openLibp2pCluster } = await import("./libp2p/index.js");
  return await openLibp2pCluster({
    ...own,
    listen: options.p2p,
    ...(options.clusterKey && { clusterKey: options.clusterKey }),
    ...(options.allowPeers && { allowPeers: new Set(options.allowPeers) }),
  });
}
