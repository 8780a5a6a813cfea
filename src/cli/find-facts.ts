import http from "node:http";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import type { HubcastError } from "../core/errors.js";
import { connectToNode } from "../node/client.js";
import type { Facts, SeenFacts } from "./diagnosis.js";
import { multicastFault } from "./multicast-probe.js";
import { lookAround, type Seen } from "./network.js";
import { roundTripMs } from "./round-trip.js";

const ANSWER_TIMEOUT_MS = 1_500;

export interface FactsOptions {
  readonly interfaces: readonly string[] | undefined;
  readonly listenMs: number;
  readonly signal: AbortSignal;
}

/** Looks at this machine and its network. @throws invalidOption for an interface that does not exist */
export async function findFacts({ interfaces, listenMs, signal }: FactsOptions): Promise<Facts> {
  const seen = new Map<string, Seen>();
  let discoveryFault: string | undefined;
  try {
    await using _dnsSd = await lookAround({
      ...(interfaces && { interfaces }),
      signal,
      up: (key, server) => seen.set(key, server),
      down: (key) => seen.delete(key),
    });
    await new Promise((resolve) => setTimeout(resolve, listenMs));
  } catch (error) {
    if ((error as HubcastError).code === "invalidOption") throw error;
    discoveryFault = (error as Error).message;
  }
  const servers = await Promise.all([...seen.values()].map((server) => factsOf(server, signal)));
  return {
    nodeVersion: process.versions.node,
    interfaces: await Promise.all(usable(interfaces).map(interfaceFacts)),
    ...(discoveryFault !== undefined && { discoveryFault }),
    ports: [
      { port: 8080, command: "hubcast broadcast start", holder: await holderOf(8080, "node", servers) },
      { port: 9999, command: "hubcast hub start", holder: await holderOf(9999, "hub", servers) },
    ],
    servers,
  };
}

async function factsOf(seen: Seen, signal: AbortSignal): Promise<SeenFacts> {
  const tripMs = await roundTripMs(seen.addresses, ANSWER_TIMEOUT_MS);
  const facts = { seen, ...(tripMs !== undefined && { roundTripMs: tripMs }) };
  if (tripMs === undefined || seen.type === "hub" || seen.url === undefined) return facts;
  try {
    const node = await connectToNode(seen.url, { timeoutMs: ANSWER_TIMEOUT_MS, signal });
    try {
      const [status, peers] = await Promise.all([node.status(), node.peers()]);
      const clockAheadMs = await clockAhead(seen.url);
      return { ...facts, status, peers, ...(clockAheadMs !== undefined && { clockAheadMs }) };
    } finally {
      await node.close();
    }
  } catch {
    // It asks for a token, or is busy: then there is less to say of it.
    return facts;
  }
}

/** By the Date of an answer, which is exact to a second. */
async function clockAhead(url: string): Promise<number | undefined> {
  return await new Promise((resolve) => {
    const request = http.get(`${url}/healthz`, { timeout: ANSWER_TIMEOUT_MS, agent: false }, (response) => {
      response.resume();
      const atMs = Date.parse(response.headers.date ?? "");
      resolve(Number.isNaN(atMs) ? undefined : atMs - Date.now());
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(undefined));
  });
}

function usable(wanted: readonly string[] | undefined): { name: string; address: string }[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) => {
    const address = addresses.find(({ family }) => family === "IPv4")?.address;
    const isMeant =
      !wanted || wanted.includes(name) || addresses.some((each) => wanted.includes(each.address));
    return address && isMeant ? [{ name, address }] : [];
  });
}

async function interfaceFacts({ name, address }: { name: string; address: string }) {
  const fault = await multicastFault(address);
  return { name, ...(fault !== undefined && { fault }) };
}

async function holderOf(
  port: number,
  type: Seen["type"],
  servers: readonly SeenFacts[],
): Promise<Facts["ports"][number]["holder"]> {
  const isFree = await new Promise<boolean>((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(true)));
  });
  if (isFree) return "free";
  const isOurs = servers.some(({ seen }) => {
    if (seen.type !== type) return false;
    const places = seen.type === "node" ? [seen.url ?? ""] : seen.addresses;
    return places.some((place) => place.endsWith(`127.0.0.1:${port}`));
  });
  return isOurs ? "hubcast" : "other";
}
