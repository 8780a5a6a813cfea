import { availableParallelism } from "node:os";
import { HubcastError } from "../../core/errors.js";
import { completed } from "../../core/options.js";
import { checkToken, type HubAddress, type HubTls, parseHubAddress } from "../client/options.js";
import { SIMULATE_KINDS } from "../option-kinds.js";

/** Options of `simulateHub`; each is also a flag of `hub simulate`. */
export interface SimulateOptions {
  /**
   * `HOST[:PORT]` of the hub to load, or of several that are connected to each other: clients are on them in turn.
   * Without, a hub is started for the run.
   */
  readonly address?: string | readonly string[];
  /** Clients say hello in version 2 and show it; without, they speak version 1. */
  readonly token?: string;
  /** TLS to the hubs at `address`; without, plain TCP. */
  readonly tls?: HubTls;
  /** Bytes of a payload, 24 to 1,024,000. Default 10,240. */
  readonly size?: number;
  /** Default 100. */
  readonly clients?: number;
  /** Sent by each client to all others. Default 100; 0 connects and sends nothing. */
  readonly messages?: number;
  /** Between two messages of one client, in ms; default 1. 0: as fast as it goes. */
  readonly intervalMs?: number;
  /** Processes for the clients; default one less than there are processors. */
  readonly workers?: number;
  /** Share of the clients that misbehave, 0 to 0.9; default 0. */
  readonly chaos?: number;
  /** The run ends when nothing was sent or received for so long. Default 10,000. */
  readonly timeoutMs?: number;
  /** Called ten times a second. */
  readonly onProgress?: (snapshot: Snapshot) => void;
  /** Ends everything; the promise rejects with its reason. */
  readonly signal?: AbortSignal;
}

export interface CompleteSimulateOptions
  extends Required<Omit<SimulateOptions, "address" | "token" | "tls" | "onProgress" | "signal">> {
  /** Empty: a hub is started for the run. */
  readonly addresses: readonly HubAddress[];
  readonly token?: string;
  readonly tls?: HubTls;
  readonly onProgress: (snapshot: Snapshot) => void;
  readonly signal: AbortSignal;
}

/** Every pair has a place in a table of four bytes: 64 MiB. */
const PAIRS_MAX = 16_777_216;

/** Fills in defaults and checks ranges, once. @throws invalidOption */
export function completeSimulateOptions(options: SimulateOptions): CompleteSimulateOptions {
  const { address, ...given } = completed("simulateHub", options, SIMULATE_KINDS);
  checkToken(given.token);
  const complete = {
    workers: Math.max(1, availableParallelism() - 1),
    onProgress: () => {},
    signal: new AbortController().signal,
    ...given,
    addresses: [address ?? []].flat().map(parseHubAddress),
  };
  const { clients, messages, chaos, addresses } = complete;
  if (addresses.length > clients) {
    throw new HubcastError("invalidOption", `${addresses.length} hubs for ${clients} clients`, {
      suggestions: ["Pass at least as many clients as addresses."],
    });
  }
  if (messages > 0 && clients ** 2 > PAIRS_MAX) {
    throw new HubcastError("invalidOption", `${clients} clients make ${clients * (clients - 1)} pairs`, {
      suggestions: [`Pass at most ${Math.sqrt(PAIRS_MAX)} clients, or 0 messages.`],
    });
  }
  if (chaos > 0 && clients < 3) {
    throw new HubcastError("invalidOption", `chaos is ${chaos} of ${clients} clients`, {
      suggestions: ["Pass more clients: at least two must behave."],
    });
  }
  return { ...complete, workers: Math.min(complete.workers, clients) };
}

/** The progress of a run. */
export interface Snapshot {
  /** `baseline` and `chaos` are the two runs of `--chaos`; without, there is `load` alone. */
  readonly run: "load" | "baseline" | "chaos";
  readonly phase: "connecting" | "meeting" | "running" | "finishing";
  readonly elapsedMs: number;
  readonly clients: number;
  readonly sent: number;
  readonly toSend: number;
  readonly deliveries: number;
  readonly expected: number;
  /** Over the last second. */
  readonly deliveriesPerSecond: number;
  readonly bytesPerSecond: number;
  /** Latency of the last second, against the intended send time. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Clients that the hub has closed. */
  readonly closed: number;
  /** The hub, if it was started for the run; `loop` is the share of time its event loop worked, so far. */
  readonly hub?: { readonly rssBytes: number; readonly loop: number };
}
