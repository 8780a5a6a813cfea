import type { Interfaces } from "@oclif/core";
import * as Flags from "@oclif/core/flags";
import type { HubOptions } from "../hub/index.js";
import { HUB_KINDS, ID_REPLICAS, SLOW_CONSUMER } from "../hub/option-kinds.js";
import { readTlsFiles, readToken } from "./flag-file.js";
import {
  countFlag,
  defined,
  durationFlag,
  flagList,
  LIVE_FLAG,
  LOG_FLAGS,
  NATS_FLAGS,
  natsAccess,
  portFlag,
  ranged,
  sizeFlag,
  withEnvironment,
} from "./flags.js";

const BOUNDS = { helpGroup: "BOUNDS" };

/** Flags of `hub start`; each also reads HUBCAST_HUB_ and its name. */
export const HUB_START_FLAGS = withEnvironment(
  {
    port: portFlag({
      description: "Port that clients connect to; 0 takes a free one.",
      default: HUB_KINDS.port.default,
    }),
    host: Flags.string({
      description: "Address to listen on. Others than loopback need a token, or --allow-anonymous.",
      default: HUB_KINDS.host.default,
      helpValue: "ADDRESS",
    }),
    name: Flags.string({
      description: "Name of this hub, shown to people.",
      default: HUB_KINDS.name.default,
      helpValue: "NAME",
    }),
    "token-file": Flags.string({
      description:
        "File with the token that clients must show; HUBCAST_TOKEN may hold the token itself. Shuts out clients of version 1.",
      helpValue: "PATH",
    }),
    "allow-anonymous": Flags.boolean({ description: "Let clients in without a token, on any --host." }),
    "tls-cert": Flags.string({
      description: "Certificate chain (PEM): clients must talk TLS.",
      helpValue: "PATH",
      dependsOn: ["tls-key"],
    }),
    "tls-key": Flags.string({
      description: "Private key (PEM) of the certificate.",
      helpValue: "PATH",
      dependsOn: ["tls-cert"],
    }),
    "slow-consumer": Flags.string({
      description:
        "When a receiver does not read: evict goes on without it after 250 ms and closes it at its limit; wait holds up its senders.",
      options: SLOW_CONSUMER,
      default: HUB_KINDS.slowConsumer.default,
      ...BOUNDS,
    }),
    "outbox-max": sizeFlag({
      description: "Bytes queued for one receiver; its senders wait from half of it on.",
      ...ranged(HUB_KINDS.outboxMax),
      ...BOUNDS,
    }),
    "stall-timeout": durationFlag({
      description: "With wait: how long senders wait for a receiver that takes nothing.",
      ...ranged(HUB_KINDS.stallTimeoutMs),
      ...BOUNDS,
    }),
    "memory-max": sizeFlag({
      description: "Memory of all messages and queues; at it no new message is begun.",
      ...ranged(HUB_KINDS.memoryMax),
      ...BOUNDS,
    }),
    "clients-max": countFlag({
      description: "Clients at the same time.",
      ...ranged(HUB_KINDS.clientsMax),
      ...BOUNDS,
    }),
    "monitor-port": portFlag({
      description:
        "Serve /healthz, /metrics, /v1/status and /v1/clients over HTTP on 127.0.0.1; off without it.",
    }),
    "no-mdns": Flags.boolean({ description: "Do not announce this hub by multicast DNS." }),
    "mdns-interface": Flags.string({
      description: "Announce this hub only on this interface, by name or address.",
      helpValue: "INTERFACE",
      multiple: true,
      multipleNonGreedy: true,
      exclusive: ["no-mdns"],
    }),
    engine: Flags.string({
      description:
        "nats://HOST:4222[,HOST...]: clients of all hubs on these NATS servers reach each other. local: a hub alone.",
      default: HUB_KINDS.engine.default,
      helpValue: "local|nats://HOST:4222",
    }),
    ...NATS_FLAGS,
    "nats-replicas": countFlag({
      description: "NATS servers that keep the ids of clients, which only the first hub decides.",
      ...ranged(ID_REPLICAS),
      helpGroup: "NATS",
    }),
    stat: Flags.boolean({
      description:
        "The figures of --live as a line a second on stderr, on a terminal too; with both, --live is what counts.",
    }),
    live: LIVE_FLAG,
    ...LOG_FLAGS,
  },
  "HUBCAST_HUB_",
);

/** Maps flags to options of `startHub`. */
export async function hubOptions(
  flags: Interfaces.InferredFlags<typeof HUB_START_FLAGS>,
): Promise<HubOptions> {
  const interfaces = flagList(flags["mdns-interface"]);
  return defined({
    port: flags.port,
    host: flags.host,
    name: flags.name,
    token: await readToken(flags["token-file"]),
    allowAnonymous: flags["allow-anonymous"],
    tls: await readTlsFiles(flags),
    slowConsumer: flags["slow-consumer"] as "evict" | "wait",
    outboxMax: flags["outbox-max"],
    stallTimeoutMs: flags["stall-timeout"],
    memoryMax: flags["memory-max"],
    clientsMax: flags["clients-max"],
    monitorPort: flags["monitor-port"],
    engine: flags.engine,
    nats:
      flags.engine === "local"
        ? undefined
        : { ...(await natsAccess(flags)), replicas: flags["nats-replicas"] },
    mdns: interfaces ? { interfaces } : !flags["no-mdns"],
  });
}
