import { HubcastError } from "../core/errors.js";

/** What kept the hub from listening, in words that say what to do. */
export function listenError(error: NodeJS.ErrnoException, host: string, port: number): HubcastError {
  if (error.code === "EADDRINUSE") {
    return new HubcastError("portInUse", `port ${port} on ${host} is already in use`, {
      cause: error,
      suggestions: ["Pass --port 0 to take a free one."],
    });
  }
  return new HubcastError("cannotListen", `cannot listen on ${host}:${port}: ${error.message}`, {
    cause: error,
    suggestions: ["Pass an address of this machine that you may use."],
  });
}
