import { type ErrorCode, HubcastError } from "../../core/errors.js";
import type { CloseReason } from "../protocol/close-reason.js";

const REFUSALS: Partial<Record<CloseReason, readonly [ErrorCode, message: string, suggestion: string]>> = {
  unauthorized: ["unauthorized", "asks for a token and got none, or a wrong one", "Pass the hub's token."],
  clientsMax: ["tooManyClients", "is full", "Start it with a larger --clients-max, or try again later."],
  stopping: ["stopping", "is shutting down", "Try again when it is back."],
};

/** What a hub means that closes with that reason; undefined unless it turns the client away. @param where host:port */
export function refusalOf(reason: CloseReason, where: string): HubcastError | undefined {
  const known = REFUSALS[reason];
  if (known === undefined) return undefined;
  const [code, message, suggestion] = known;
  return new HubcastError(code, `the hub at ${where} ${message}`, { suggestions: [suggestion] });
}
