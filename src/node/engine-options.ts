import { HubcastError } from "../core/errors.js";
import { isNatsEngine, type NatsServers, parseNatsEngine } from "../runtime/nats.js";
import type { NatsOptions, NodeOptions } from "./option-kinds.js";

/** How peers are reached. */
export type EngineChoice =
  | { readonly name: "libp2p" }
  | ({ readonly name: "nats" } & NatsServers & NatsOptions);

/** @throws invalidOption, also for what would protect or reach nobody with that engine */
export function completeEngine(options: NodeOptions): EngineChoice {
  const { engine = "libp2p", nats } = options;
  if (isNatsEngine(engine)) return natsEngine(engine, options);
  if (engine !== "libp2p") {
    throw new HubcastError("invalidOption", `there is no engine ${JSON.stringify(engine)}`, {
      suggestions: ["Use --engine libp2p, which is the default, or --engine nats://HOST:4222."],
    });
  }
  if (nats && Object.keys(nats).length > 0) {
    throw new HubcastError("invalidOption", "options of NATS are given, but the engine is libp2p", {
      suggestions: ["Name the servers: --engine nats://HOST:4222."],
    });
  }
  return { name: "libp2p" };
}

function natsEngine(engine: string, { nats = {}, clusterKey, allowPeers, peers }: NodeOptions): EngineChoice {
  const unfit = clusterKey
    ? "a cluster key"
    : allowPeers
      ? "a list of allowed peers"
      : peers && peers.length > 0
        ? "an address of a peer"
        : undefined;
  if (unfit === undefined) return { name: "nats", ...parseNatsEngine(engine), ...nats };
  throw new HubcastError("invalidOption", `${unfit} has no effect with the engine NATS`, {
    suggestions: [
      "Leave it out: nodes meet at the NATS servers, which decide who may connect (--nats-credentials, tls://).",
    ],
  });
}
