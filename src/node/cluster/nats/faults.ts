import { HubcastError } from "../../../core/errors.js";

/** Codes of the server (`err_code`), as its source lists them. */
const FULL = new Set([
  10_023, // insufficient resources
  10_047, // insufficient storage resources available
  10_077, // maximum messages or bytes of the stream exceeded
  10_122, // maximum bytes for the account
]);
const NO_JETSTREAM = new Set([10_039, 10_076]);
/** A cluster of servers that is electing, or has too few servers up. */
const FOR_NOW = new Set([10_008, 10_009, 10_118]);

/** The code that the server gave; `undefined` for what is no answer of it. */
export function apiCode(error: unknown): number | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "number" && code >= 10_000 ? code : undefined;
}

export function isFull(error: unknown): boolean {
  return FULL.has(apiCode(error) ?? 0);
}

export function isWithoutJetStream(error: unknown): boolean {
  return NO_JETSTREAM.has(apiCode(error) ?? 0);
}

/** Whether asking again may help: nobody answered, or somebody who has to wait himself. */
export function isPassing(error: unknown): boolean {
  if (error instanceof HubcastError) return false;
  const code = apiCode(error);
  return code === undefined ? !isPermission(error) : FOR_NOW.has(code);
}

/** The error for an answer with which a node cannot start. */
export function unusable(server: string, error: Error): HubcastError {
  return new HubcastError("natsUnusable", `the NATS server at ${server} refuses: ${error.message}`, {
    cause: error,
    suggestions: [
      "Ask for no more replicas than there are servers: --nats-replicas.",
      "Look at the room that JetStream has, and at the permissions of this user: docs/protocol-nats.md.",
    ],
  });
}

function isPermission(error: unknown): boolean {
  const { name, cause } = error as Error;
  return (
    name === "PermissionViolationError" || (cause as Error | undefined)?.name === "PermissionViolationError"
  );
}
