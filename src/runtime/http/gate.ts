import type { IncomingMessage } from "node:http";
import { HubcastError } from "../../core/errors.js";
import { canonicalHost, isLoopbackHost } from "../../core/hosts.js";

/**
 * Keeps web pages away from a server on a user's machine. It checks headers that a page cannot
 * forge, before a byte of the body is read, on every route: a page of another origin always sends `Origin` with a
 * POST and `Sec-Fetch-Site` with everything, and a page that had its own name rebound to 127.0.0.1 still sends
 * that name as Host.
 */
export class Gate {
  readonly #names: ReadonlySet<string>;
  readonly #scheme: "http" | "https";
  readonly #server: string;
  #lastKnown: string | undefined;

  /**
   * @param names allowed in a Host header, besides loopback and the address that the connection came in by
   * @param server its name in errors, "node" or "hub"
   */
  constructor(names: readonly string[], scheme: "http" | "https", server: string) {
    this.#names = new Set(names.map((name) => canonicalHost(name)));
    this.#server = server;
    this.#scheme = scheme;
  }

  /** Why the request must not go on, or nothing. */
  refusal(request: IncomingMessage): HubcastError | undefined {
    const { host, origin, "sec-fetch-site": site } = request.headers;
    if (host === undefined || !this.#knows(host, request.socket.localAddress)) {
      return new HubcastError(
        "foreignHost",
        `this ${this.#server} does not answer to the name ${quote(host)}`,
        {
          suggestions: ["Call it as 127.0.0.1 or localhost, or by the address or name it listens on."],
        },
      );
    }
    if (origin !== undefined && origin.toLowerCase() !== `${this.#scheme}://${host.toLowerCase()}`) {
      return this.#foreignOrigin(`a page of ${quote(origin)}`);
    }
    if (site !== undefined && site !== "same-origin" && site !== "none") {
      return this.#foreignOrigin(`a page of another site (Sec-Fetch-Site: ${quote(String(site))})`);
    }
    return undefined;
  }

  #knows(host: string, localAddress: string | undefined): boolean {
    // Nearly all requests carry the same Host, and checking it costs as much as finding the route.
    if (host === this.#lastKnown) return true;
    const name = canonicalHost(hostName(host));
    if (!isLoopbackHost(name) && !this.#names.has(name)) return name === canonicalHost(localAddress ?? "");
    this.#lastKnown = host;
    return true;
  }

  #foreignOrigin(who: string): HubcastError {
    return new HubcastError("foreignOrigin", `${who} may not call this ${this.#server}`, {
      suggestions: [`Call the ${this.#server} from a program, not from a web page; CORS is off on purpose.`],
    });
  }
}

/** A Host header without its port; brackets stay. */
function hostName(host: string): string {
  return host.replace(/:\d*$/, "");
}

/** A header value as it may stand in an answer: short, without anything that is not printable. */
function quote(value: string | undefined): string {
  return JSON.stringify((value ?? "").slice(0, 100).replace(/[^\x20-\x7e]/g, "?"));
}
