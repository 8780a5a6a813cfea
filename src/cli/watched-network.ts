import { networkInterfaces } from "node:os";
import type { Collector } from "../tui/index.js";
import { lookAround, type Seen } from "./network.js";

export interface WatchedNetwork {
  readonly interfaces?: readonly string[] | undefined;
  /** Whether nodes found on this machine are asked, without a token: not when the user has named some. */
  readonly findsNodes: boolean;
  readonly signal: AbortSignal;
}

/** Lets a collector ask the hubs, and the nodes of this machine, that multicast DNS shows. @returns stops it */
export async function watchNetwork(
  collector: Collector,
  { interfaces, findsNodes, signal }: WatchedNetwork,
): Promise<() => Promise<void>> {
  const nodeUrls = new Map<string, string>();
  const forget = (key: string) => {
    const url = nodeUrls.get(key);
    nodeUrls.delete(key);
    if (url !== undefined) collector.removeNode(url);
  };
  const up = (key: string, seen: Seen) => {
    if (seen.type === "hub") {
      const { name, addresses, monitorUrl } = seen;
      const address = addresses[0] ?? "-";
      collector.addHub({ key, name, address, ...(monitorUrl !== undefined && { monitorUrl }) });
      return;
    }
    if (!findsNodes || seen.url === undefined || !isOurs(seen.url)) return;
    if (nodeUrls.get(key) !== seen.url) forget(key);
    nodeUrls.set(key, seen.url);
    collector.addNode({ url: seen.url, isNamed: false, name: seen.name });
  };
  const down = (key: string, seen: Seen) => (seen.type === "hub" ? collector.removeHub(key) : forget(key));
  const dnsSd = await lookAround({ ...(interfaces && { interfaces }), signal, up, down });
  return () => dnsSd.close();
}

function isOurs(url: string): boolean {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, "");
  const own = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return own.some(({ address }) => address === host);
}
