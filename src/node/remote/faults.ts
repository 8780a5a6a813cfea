import type { IncomingMessage } from "node:http";
import { ERRORS, type ErrorCode, HubcastError } from "../../core/errors.js";

/** The refusal that an answer carries: the node's own words, or notHubcast when they are not a node's. */
export function errorOfAnswer(response: IncomingMessage, text: string, url: URL): HubcastError {
  let problem: { code?: unknown; detail?: unknown; suggestions?: unknown };
  try {
    problem = Object(JSON.parse(text));
  } catch {
    return notHubcast(url, response);
  }
  const { code, detail, suggestions } = problem;
  if (typeof code !== "string" || !Object.hasOwn(ERRORS, code)) return notHubcast(url, response);
  return new HubcastError(
    code as ErrorCode,
    typeof detail === "string" ? detail : ERRORS[code as ErrorCode].meaning,
    {
      suggestions: Array.isArray(suggestions) ? suggestions.filter((text) => typeof text === "string") : [],
    },
  );
}

/** What broke below HTTP. */
export function errorOfTransport(error: NodeJS.ErrnoException, url: URL): HubcastError {
  if (error instanceof HubcastError) return error;
  const { code = "" } = error;
  if (code.startsWith("HPE_")) return notHubcast(url);
  const lost = /^(ECONNRESET|EPIPE|ECONNABORTED|ERR_STREAM_PREMATURE_CLOSE|ABORT_ERR)$/.test(code);
  if (lost && error.syscall !== "connect") {
    return new HubcastError(
      "connectionLost",
      `${url.origin} closed the connection before its answer was complete`,
      {
        cause: error,
        suggestions: ["Look whether the node still runs, and try again."],
      },
    );
  }
  const certificate = /CERT|SSL|EPROTO/.test(code);
  return new HubcastError("unreachable", `no node answers at ${url.origin} (${reasonOf(error)})`, {
    cause: error,
    suggestions: certificate
      ? ["Check http or https, and let NODE_EXTRA_CA_CERTS name the file of the authority to trust."]
      : [
          "Start a node there: hubcast broadcast start.",
          "Or name another one with --url or HUBCAST_URL; hubcast discover lists those on this network.",
        ],
  });
}

/** @param response absent when it was not even HTTP */
export function notHubcast(url: URL, response?: IncomingMessage): HubcastError {
  const what = response
    ? `status ${response.statusCode}, ${response.headers["content-type"] ?? "no content type"}`
    : "not HTTP";
  return new HubcastError("notHubcast", `what answers at ${url.origin} is not a hubcast node (${what})`, {
    suggestions: [
      "Check the port: a node says where it listens when it starts.",
      "A hub is no node: it speaks on its own port (9999), without HTTP.",
    ],
  });
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ENOTFOUND: "the name is unknown",
  EAI_AGAIN: "the name cannot be resolved now",
  EHOSTUNREACH: "no route to it",
  ENETUNREACH: "no route to it",
  ETIMEDOUT: "it takes no connection",
};

function reasonOf({ code = "", message }: NodeJS.ErrnoException): string {
  return REASONS[code] ?? (message || code);
}
