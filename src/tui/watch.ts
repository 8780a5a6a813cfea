import http from "node:http";
import { asHubcastError } from "../core/errors.js";
import type { TokenSource } from "../core/options.js";
import type { HubClientStatus, HubStatus } from "../hub/index.js";
import type { NodeStatus, Peer } from "../node/broadcast.js";
import { connectToNode, type RemoteNode } from "../node/client.js";
import { NodeMeter, RateMeter } from "./figures.js";
import { slowestFirst } from "./screen.js";
import type { Fault } from "./snapshot.js";

/** A server without an answer for this long is shown as unreachable. */
const ANSWER_TIMEOUT_MS = 2_000;
/** Retry interval for an unreachable server. */
const RETRY_MS = 1_000;
/** Polling interval of nodes other than the first while their figures are not shown (cost: bench/top.ts). */
const ASIDE_EVERY_MS = 950;
/** How often the first node is asked for its peers; the others more rarely, since all have the same. */
const PEERS_EVERY_MS = { first: 450, others: 1_950 };

/** A node to poll. */
export interface NodePlace {
  readonly url: string;
  /** Given for nodes that the user has named. */
  readonly token?: TokenSource;
  /** Named by the user: shown also while nothing answers there. */
  readonly isNamed: boolean;
  /** From discovery, until the node answers. */
  readonly name?: string;
}

/** Polls one node, reconnects when it is back, and keeps its last answer. */
export class NodeWatch {
  /** The last answer, kept also after the node is gone. */
  status: NodeStatus | undefined;
  peers: readonly Peer[] = [];
  fault: { readonly kind: Fault; readonly message: string } | undefined;
  /** Whether it has answered, or failed to, at least once. */
  asked = false;
  readonly meter = new NodeMeter();
  node: RemoteNode | undefined;
  #asking: Promise<void> | undefined;
  #retryAtMs = 0;
  #askAtMs = 0;
  #peersAskedMs = Number.NEGATIVE_INFINITY;
  readonly #closed = new AbortController();

  constructor(readonly place: NodePlace) {}

  get isReachable(): boolean {
    return this.asked && this.fault === undefined;
  }

  /** Polls, unless the last call is still open. @param isFirst whether its peers are shown */
  ask(isFirst: boolean, isAside = false): Promise<void> {
    const nowMs = performance.now();
    if (!this.#asking && nowMs >= this.#retryAtMs && (isFirst || nowMs >= this.#askAtMs)) {
      if (isAside) this.#askAtMs = nowMs + ASIDE_EVERY_MS;
      this.#asking = this.#ask(isFirst).finally(() => {
        this.#asking = undefined;
        this.asked = true;
      });
    }
    return this.#asking ?? Promise.resolve();
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.node?.close();
    await this.#asking;
  }

  async #ask(isFirst: boolean): Promise<void> {
    const { signal } = this.#closed;
    const { url, token } = this.place;
    try {
      this.node ??= await connectToNode(url, {
        timeoutMs: ANSWER_TIMEOUT_MS,
        signal,
        ...(token !== undefined && { token }),
      });
      const nowMs = performance.now();
      const everyMs = isFirst ? PEERS_EVERY_MS.first : PEERS_EVERY_MS.others;
      const wantsPeers = nowMs - this.#peersAskedMs >= everyMs;
      if (wantsPeers) this.#peersAskedMs = nowMs;
      const peers = wantsPeers ? this.node.peers() : this.peers;
      this.#keep(...(await Promise.all([this.node.status(), peers])));
    } catch (error) {
      await this.node?.close();
      this.node = undefined;
      if (signal.aborted) return;
      const { code, message } = asHubcastError(error);
      const kind = code === "notHubcast" || code === "unauthorized" ? code : "unreachable";
      this.fault = { kind, message };
      this.#retryAtMs = performance.now() + RETRY_MS;
    }
  }

  #keep(status: NodeStatus, peers: readonly Peer[]): void {
    this.status = status;
    this.peers = peers;
    this.fault = undefined;
    this.meter.record(status, performance.now());
  }
}

/** The list of clients may be long, so it is read once a second. */
const CLIENTS_EVERY_MS = 1_000;
const SLOWEST_SHOWN = 50;
const ANSWER_BYTES_MAX = 32 * 1024 * 1024;

export interface HubPlace {
  readonly key: string;
  readonly name: string;
  readonly address: string;
  /** Absent where monitoring is off, or not on this machine. */
  readonly monitorUrl?: string;
}

/** Polls the monitoring of one hub, and keeps its last answer. */
export class HubWatch {
  status: HubStatus | undefined;
  slowest: readonly HubClientStatus[] = [];
  outboxBytes: number | undefined;
  pausedCount: number | undefined;
  fault: Fault | undefined;
  asked = false;
  readonly deliveries = new RateMeter();
  readonly bytesOut = new RateMeter();
  readonly bytesIn = new RateMeter();
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
  #pausedMs = new Map<number, number>();
  #asking: Promise<void> | undefined;
  #retryAtMs = 0;
  #clientsAtMs = 0;
  #closed = false;

  constructor(public place: HubPlace) {}

  ask(): Promise<void> {
    if (!this.#asking && performance.now() >= this.#retryAtMs) {
      this.#asking = this.#ask().finally(() => {
        this.#asking = undefined;
        this.asked = true;
      });
    }
    return this.#asking ?? Promise.resolve();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#agent.destroy();
    await this.#asking;
  }

  async #ask(): Promise<void> {
    if (this.place.monitorUrl === undefined) return;
    try {
      const status = (await this.#get("/v1/status")) as HubStatus;
      if (typeof status.messagesOut !== "number") throw new FaultyAnswer("notHubcast");
      const nowMs = performance.now();
      if (nowMs >= this.#clientsAtMs) {
        this.#clientsAtMs = nowMs + CLIENTS_EVERY_MS;
        this.#keepClients(
          ((await this.#get("/v1/clients?state=all")) as { clients: HubClientStatus[] }).clients,
        );
      }
      this.status = status;
      this.fault = undefined;
      this.deliveries.record(status.messagesOut, nowMs);
      this.bytesOut.record(status.bytesOut, nowMs);
      this.bytesIn.record(status.bytesIn, nowMs);
    } catch (error) {
      if (this.#closed) return;
      this.fault = error instanceof FaultyAnswer ? error.fault : "unreachable";
      this.#retryAtMs = performance.now() + RETRY_MS;
    }
  }

  #keepClients(clients: readonly HubClientStatus[]): void {
    const there = clients.filter(({ closedMs }) => closedMs === undefined);
    const before = this.#pausedMs;
    this.#pausedMs = new Map(there.map(({ id, pausedMs }) => [id, pausedMs]));
    this.pausedCount = there.filter(({ id, pausedMs }) => pausedMs > (before.get(id) ?? 0)).length;
    this.outboxBytes = there.reduce((sum, client) => sum + client.outboxBytes, 0);
    this.slowest = slowestFirst(there).slice(0, SLOWEST_SHOWN);
  }

  #get(path: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const url = `${this.place.monitorUrl}${path}`;
      const request = http.get(url, { agent: this.#agent, timeout: ANSWER_TIMEOUT_MS }, (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > ANSWER_BYTES_MAX) request.destroy(new FaultyAnswer("notHubcast"));
          else chunks.push(chunk);
        });
        response.on("error", reject);
        response.on("end", () => {
          if (response.statusCode === 401) reject(new FaultyAnswer("unauthorized"));
          else
            try {
              resolve(JSON.parse(Buffer.concat(chunks).toString()));
            } catch {
              reject(new FaultyAnswer("notHubcast"));
            }
        });
      });
      request.on("timeout", () => request.destroy(new FaultyAnswer("unreachable")));
      request.on("error", reject);
    });
  }
}

class FaultyAnswer extends Error {
  constructor(readonly fault: Fault) {
    super(fault);
  }
}
