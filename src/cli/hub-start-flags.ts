import type { Interfaces } from "@oclif/core";
import * as Flags from "@oclif/core/flags";
import type { HubOptions } from "../hub/index.js";
import { defined } from "./defined.js";
import { readFlagFile } from "./flag-file.js";
import { flagList } from "./flag-list.js";
import { countFlag, durationFlag, portFlag, sizeFlag } from "./flags.js";
import { NATS_FLAGS, natsAccess } from "./nats-flags.js";
import { LIVE_FLAG, LOG_FLAGS, withEnvironment } from "./server-flags.js";

const BOUNDS = { helpGroup: "BOUNDS" };

/** Flags of `hub start`; each also reads HUBCAST_ and its name. */
export const HUB_START_FLAGS = withEnvironment({
  port: portFlag({ description: "Port that clients connect to; 0 takes a free one.", default: 9999 }),
  host: Flags.string({
    description: "Address to listen on. Others than loopback need a token, or --allow-anonymous.",
    default: "127.0.0.1",
    helpValue: "ADDRESS",
  }),
  name: Flags.string({
    description: "Name of this hub, shown to people.",
    default: "hubcast",
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
    options: ["evict", "wait"],
    default: "evict",
    ...BOUNDS,
  }),
  "outbox-max": sizeFlag({
    description: "Bytes queued for one receiver; its senders wait from half of it on.",
    default: 64 * 1024 * 1024,
    defaultHelp: async () => "64MiB",
    ...BOUNDS,
  }),
  "stall-timeout": durationFlag({
    description: "With wait: how long senders wait for a receiver that takes nothing.",
    default: 10_000,
    defaultHelp: async () => "10s",
    ...BOUNDS,
  }),
  "memory-max": sizeFlag({
    description: "Memory of all messages and queues; at it no new message is begun.",
    default: 512 * 1024 * 1024,
    defaultHelp: async () => "512MiB",
    ...BOUNDS,
  }),
  "clients-max": countFlag({
    description: "Clients at the same time.",
    default: 10_000,
    min: 1,
    max: 1_000_000,
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
    default: "local",
    helpValue: "ENGINE",
  }),
  ...NATS_FLAGS,
  "nats-replicas": countFlag({
    description: "NATS servers that keep the ids of clients, which only the first hub decides.",
    default: 1,
    min: 1,
    max: 5,
    helpGroup: "NATS",
  }),
  stat: Flags.boolean({
    description:
      "The figures of --live as a line a second on stderr, on a terminal too; with both, --live is what counts.",
  }),
  live: LIVE_FLAG,
  ...LOG_FLAGS,
});

/** Options of `startHub` as the flags say: the one place that knows both. */
export async function hubOptions(
  flags: Interfaces.InferredFlags<typeof HUB_START_FLAGS>,
): Promise<HubOptions> {
  const tokenFile = flags["token-file"];
  const token = tokenFile ? await readFlagFile(tokenFile, "--token-file") : process.env.HUBCAST_TOKEN?.trim();
  const interfaces = flagList(flags["mdns-interface"]);
  const [cert, key] = [flags["tls-cert"], flags["tls-key"]];
  const tls =
    cert && key
      ? { cert: await readFlagFile(cert, "--tls-cert"), key: await readFlagFile(key, "--tls-key") }
      : undefined;
  return defined({
    port: flags.port,
    host: flags.host,
    name: flags.name,
    token: token || undefined,
    allowAnonymous: flags["allow-anonymous"],
    tls,
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
