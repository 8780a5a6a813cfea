import { HubcastError } from "../core/errors.js";
import { isLoopbackHost } from "../core/hosts.js";
import { type Completed, completed } from "../core/options.js";
import { connectionsThatFit } from "../runtime/listen.js";
import { isNatsEngine, parseNatsEngine } from "../runtime/nats.js";
import { checkToken } from "./client/options.js";
import { HUB_LIMITS } from "./machine/limits.js";
import { HUB_KINDS, type HubOptions } from "./option-kinds.js";

/** A hub without others. */
export const LOCAL_ENGINE = "local";

export type CompleteHubOptions = Completed<HubOptions, typeof HUB_KINDS>;

/** Checks names, types and ranges and fills in defaults, once. @throws invalidOption */
export function completeHubOptions(options: HubOptions): CompleteHubOptions {
  const complete = completed("startHub", options, HUB_KINDS);
  checkEngine(complete);
  checkToken(complete.token);
  if (!isLoopbackHost(complete.host) && complete.token === undefined && !complete.allowAnonymous) {
    throw new HubcastError(
      "invalidOption",
      `host ${complete.host} is open to the network and no token is set`,
      {
        suggestions: ["Pass a token (--token-file), or allow everyone in with --allow-anonymous."],
      },
    );
  }
  return complete;
}

function checkEngine({ engine }: HubOptions): void {
  if (engine === undefined || engine === LOCAL_ENGINE) return;
  if (isNatsEngine(engine)) parseNatsEngine(engine);
  else {
    throw new HubcastError("invalidOption", `there is no engine ${JSON.stringify(engine)} for a hub`, {
      suggestions: ["Use --engine nats://HOST:4222, or leave it out: local."],
    });
  }
}

/** The clients of the options, or fewer where the limit of open files requires it. */
export function clientsThatFit({ clientsMax, logger }: CompleteHubOptions): number {
  const { count, openFilesMax } = connectionsThatFit(clientsMax, HUB_LIMITS.filesReserved);
  if (count === clientsMax) return count;
  const fields = { clientsMax: count, wanted: clientsMax, openFilesMax };
  logger?.warn(
    fields,
    `takes ${count} clients, not ${clientsMax}: raise the limit of open files (ulimit -n)`,
  );
  return count;
}
