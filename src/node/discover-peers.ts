import { VERSION } from "../net/version.js";
import { type Discovery, openDiscovery } from "./discovery.js";
import type { Node } from "./node.js";

/** Makes a node known on its network, and dials those of its cluster. @param renamed its name was taken: it has another */
export function discoverPeers(node: Node, renamed: () => void): Promise<Discovery> {
  const { mdns, cluster, clusterKey, logger } = node.options;
  return openDiscovery({
    ...(typeof mdns === "object" && { interfaces: mdns.interfaces }),
    name: node.name,
    id: node.cluster.id,
    cluster,
    version: VERSION,
    ...(clusterKey && { clusterKey }),
    ...(node.cluster.port !== undefined && { peerPort: node.cluster.port }),
    ...(node.http && { http: node.http.address }),
    logger,
    found: (candidate) => node.cluster.dial(candidate),
    gone: (id) => {
      // One that was lost without a word may come back at the same place: it stays on the list of the dialler.
      if (node.replica.peers.get(id)?.state !== "lost") node.cluster.forget(id);
    },
    renamed: (name) => {
      logger.warn(
        { name, wished: node.name },
        `the name ${node.name} is taken on this network; this node is called ${name}`,
      );
      node.name = name;
      renamed();
    },
  });
}
