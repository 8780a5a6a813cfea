import * as Flags from "@oclif/core/flags";

const LOG = { helpGroup: "LOG" };

/** What every server of ours takes about its log. */
export const LOG_FLAGS = {
  "log-level": Flags.string({
    description: "How much is logged on stderr.",
    options: ["silent", "error", "warn", "info", "debug", "trace"],
    default: "warn",
    ...LOG,
  }),
  "log-format": Flags.string({
    description: "Without it: pretty on a terminal, else json.",
    options: ["pretty", "json"],
    ...LOG,
  }),
};

/** What a server shows while it runs. */
export const LIVE_FLAG = Flags.boolean({
  description:
    "Show figures while it runs: on a terminal one line that stays below, otherwise a line a second on stderr.",
});

/** Gives every flag its variable: `--data-dir` reads HUBCAST_DATA_DIR. */
export function withEnvironment<T extends Record<string, object>>(flags: T): T {
  const entries = Object.entries(flags).map(([name, flag]) => {
    const env = `HUBCAST_${name.toUpperCase().replaceAll("-", "_")}`;
    return [name, { ...flag, env }];
  });
  return Object.fromEntries(entries) as T;
}
