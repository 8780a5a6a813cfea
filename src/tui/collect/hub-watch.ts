import http from "node:http";
import type { HubClientStatus, HubStatus } from "../../hub/index.js";
import { RateMeter } from "../rate.js";
import { slowestFirst } from "../rows.js";
import type { Fault } from "../snapshot.js";

const ANSWER_TIMEOUT_MS = 2_000;
const RETRY_MS = 1_000;
/** The list of clients may be long: it is read once a second. */
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

/** Asks the monitoring of one hub again and again, and keeps what it said last. */
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
        this.#keepClients(((await this.#get("/v1/clients")) as { clients: HubClientStatus[] }).clients);
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
