import { VERSION } from "../net/version.js";
import { startStep } from "../runtime/start-step.js";
import { type Discovery, openDiscovery } from "./discovery.js";
import type { Node } from "./node.js";
import type { ReplicaInput } from "./replica/messages.js";

/** Makes a node known on its network, and tells its replica who else is there. */
export function discoverPeers(node: Node, tell: (input: ReplicaInput) => void): Promise<Discovery> {
  const { mdns, cluster, clusterKey, peers, logger } = node.options;
  const discovery = openDiscovery({
    ...(typeof mdns === "object" && { interfaces: mdns.interfaces }),
    // Peers that were named are reached without it.
    optional: peers.length > 0,
    name: node.name,
    id: node.cluster.id,
    cluster,
    version: VERSION,
    ...(clusterKey && { clusterKey }),
    ...(node.cluster.port !== undefined && { peerPort: node.cluster.port }),
    ...(node.http && { http: node.http.address }),
    logger,
    found: ({ id, addresses }) => tell({ type: "found", addresses, peer: id }),
    apart: (stranger) => tell({ type: "strangerSeen", ...stranger }),
    gone: (id) => tell({ type: "vanished", peer: id }),
    renamed: (name) => {
      logger.warn(
        { name, wished: node.name },
        `the name ${node.name} is taken on this network; this node is called ${name}`,
      );
      node.name = name;
      tell({ type: "renamed" });
    },
  });
  return startStep("opening multicast DNS", discovery, { logger, late: (opened) => opened.close() });
}
