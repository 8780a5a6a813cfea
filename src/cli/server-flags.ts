import * as Flags from "@oclif/core/flags";
import { readFlagFile } from "./flag-file.js";
import { defined } from "./flags.js";

const LOG = { helpGroup: "LOG" };

/** Log flags of nodes and hubs. */
export const LOG_FLAGS = {
  "log-level": Flags.string({
    description:
      "How much is logged on stderr. debug: each link, round, request and refusal; trace: each frame between nodes, too.",
    options: ["silent", "error", "warn", "info", "debug", "trace"],
    default: "warn",
    ...LOG,
  }),
  "log-format": Flags.string({
    description:
      "Without it: pretty on a terminal, else json. With json every line is JSON, as with --json; what is said beside results is logged at info.",
    options: ["pretty", "json"],
    ...LOG,
  }),
};

export const LIVE_FLAG = Flags.boolean({
  description:
    "Show figures while it runs: on a terminal one line that stays below, otherwise a line a second on stderr.",
});

/**
 * Gives every flag its variable: `--data-dir` reads HUBCAST_DATA_DIR. A hub has another prefix, so that one file of
 * variables serves a node and a hub.
 */
export function withEnvironment<T extends Record<string, object>>(flags: T, prefix = "HUBCAST_"): T {
  const entries = Object.entries(flags).map(([name, flag]) => {
    const env = `${prefix}${name.toUpperCase().replaceAll("-", "_")}`;
    return [name, { ...flag, env }];
  });
  return Object.fromEntries(entries) as T;
}

/** The section of the help. */
export const NATS = { helpGroup: "NATS" };

/** Further flags for `--engine nats://...`, of nodes and hubs. */
export const NATS_FLAGS = {
  "nats-credentials": Flags.string({
    description:
      "File that lets this program into NATS: a .creds file of nsc, an nkey seed, USER:PASSWORD, or a token.",
    helpValue: "FILE",
    ...NATS,
  }),
  "nats-ca": Flags.string({
    description: "Authorities (PEM) that may have signed the certificate of the NATS server.",
    helpValue: "FILE",
    ...NATS,
  }),
};

interface NatsFlags {
  readonly "nats-credentials"?: string | undefined;
  readonly "nats-ca"?: string | undefined;
}

/** The contents of the files. @throws usage when one cannot be read */
export async function natsAccess(flags: NatsFlags): Promise<{ credentials?: string; ca?: string }> {
  const { "nats-credentials": credentials, "nats-ca": ca } = flags;
  return defined({
    credentials:
      credentials === undefined ? undefined : await readFlagFile(credentials, "--nats-credentials"),
    ca: ca === undefined ? undefined : await readFlagFile(ca, "--nats-ca"),
  });
}
