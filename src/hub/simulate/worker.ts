// A process of simulated clients: executes the commands of the pool and ends with it.

import { setTimeout as sleep } from "node:timers/promises";
import { asHubcastError, HubcastError } from "../../core/errors.js";
import { Histogram } from "../../core/histogram.js";
import { hostAndPort } from "../../core/hosts.js";
import type { HubAddress } from "../client/options.js";
import { Client, type DeliverySink, misbehave } from "./client.js";
import type { Share, WorkerCommand, WorkerMessage, WorkerProgress, WorkerResult } from "./processes.js";
import { BodySource } from "./proof/payload.js";
import { DeliveryLog } from "./proof/proof.js";
import { Schedule } from "./proof/statistics.js";
import type { Wire } from "./proof/wire.js";
import { version1, version2 } from "./proof/wire.js";
import { nowUs, type ReceiveCounters, Receiver, Sender } from "./traffic.js";

const REPORT_MS = 100;

let clients: SimulatedClients | undefined;

process.on("disconnect", () => process.exit());
// Ctrl-C reaches the whole process group; the command decides how to end.
process.on("SIGINT", () => {});
process.on("message", (command: WorkerCommand) => {
  carryOut(command).catch((error: unknown) => {
    const { code, message, suggestions } = asHubcastError(error);
    say({ type: "failed", code, message, suggestions });
  });
});

async function carryOut(command: WorkerCommand): Promise<void> {
  switch (command.type) {
    case "open": {
      const { share } = command;
      clients = new SimulatedClients(share, await wireOf(share));
      say({ type: "opened", ids: await clients.open() });
      break;
    }
    case "meet":
      await clients!.meet(command.ids);
      say({ type: "met" });
      break;
    case "go":
      clients!.go(command.startUs);
      reportFrom(performance.eventLoopUtilization(), process.cpuUsage());
      break;
    case "finish":
      say({ type: "result", result: await clients!.finish() });
  }
}

async function wireOf({ wireUrl, token }: Share): Promise<Wire> {
  if (wireUrl !== undefined) return ((await import(wireUrl)) as { wire: Wire }).wire;
  return token === undefined ? version1 : version2;
}

function reportFrom(loop: ReturnType<typeof performance.eventLoopUtilization>, cpu: NodeJS.CpuUsage): void {
  const report = (): void => {
    const { user, system } = process.cpuUsage(cpu);
    const { active, idle } = performance.eventLoopUtilization(loop);
    say({
      type: "progress",
      ...clients!.report(),
      cpuUs: user + system,
      activeMs: active,
      wallMs: active + idle,
    });
  };
  setInterval(report, REPORT_MS);
}

function say(message: WorkerMessage): void {
  process.send!(message, () => {});
}

const READ_BYTES = 131_072;
/** Clients that dial, or ask for the list, at the same time; several workers do so at once. */
const AT_ONCE = 64;
/** With more clients, only some ask for the list: n lists of n ids are too many. */
const ASKING_MAX = 256;
const SEES_ALL_TIMEOUT_MS = 20_000;
/** How long another client of a hub may take to be answered after the hub has closed one. */
const OTHERS_TIMEOUT_MS = 1_000;
const FENCE_TIMEOUT_MS = 2_000;
/** Different orders in which a sender lists its receivers. */
const LIST_ORDERS = 16;
const IGNORES: DeliverySink = {
  chunkCame() {},
  payload() {},
  payloadBegins() {},
  payloadPiece() {},
  payloadEnds() {},
};

/** All simulated clients of one process. */
export class SimulatedClients {
  readonly #clients: Client[] = [];
  readonly #logs: DeliveryLog[] = [];
  #senders: Sender[] = [];
  readonly #lag = new Histogram();
  readonly #counters: ReceiveCounters = {
    deliveries: 0,
    distinct: 0,
    deliveredBytes: 0,
    lastDeliveryUs: 0,
    recent: new Histogram(),
    intended: new Histogram(),
    actual: new Histogram(),
  };
  readonly #source: BodySource;
  readonly #readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly #over = new AbortController();
  #ids: readonly number[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly share: Share,
    private readonly wire: Wire,
  ) {
    this.#source = new BodySource(share.size);
  }

  /** @returns their ids @throws unreachable, notHubcast */
  async open(): Promise<number[]> {
    const { first, end } = this.share;
    await inTurns(end - first, async (place) => {
      const client = this.#newClient(first + place);
      this.#clients[place] = client;
      await client.open(first + place).catch(async (error: unknown) => {
        const code = error instanceof HubcastError ? error.code : undefined;
        const closed = code === "notHubcast" || code === "tooManyClients";
        // A full hub closes this client before it has answered those that it takes.
        const untilMs = performance.now() + OTHERS_TIMEOUT_MS;
        while (closed && !this.#isHub(client) && performance.now() < untilMs) await sleep(20);
        throw closed && this.#isHub(client) ? hubFullError(this.share, client.address, error) : error;
      });
    });
    return this.#clients.map(({ id }) => id);
  }

  /** The barrier: resolves when every client sees all others. @throws deadline, connectionLost */
  async meet(ids: readonly number[]): Promise<void> {
    this.#ids = ids;
    if (this.wire.list === undefined) return;
    if (new Set(ids).size < ids.length) throw duplicateIdError(this.share.addresses);
    const deadlineMs = performance.now() + SEES_ALL_TIMEOUT_MS;
    const asking = ids.length > ASKING_MAX ? Math.min(this.#clients.length, 16) : this.#clients.length;
    await inTurns(asking, async (place) => {
      const client = this.#clients[place]!;
      for (;;) {
        const seen = new Set(await client.list());
        if (ids.every((id) => id === client.id || seen.has(id))) return;
        if (performance.now() > deadlineMs)
          throw notVisibleError(this.share, client, seen.size, SEES_ALL_TIMEOUT_MS);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    });
  }

  /** Starts senders and misbehaving clients. */
  go(startUs: number): void {
    const { messages, clients, intervalUs, tag, roles, first, chaosOn } = this.share;
    const schedule = new Schedule(clients, messages, intervalUs);
    for (const [place, client] of this.#clients.entries()) {
      const index = first + place;
      const role = roles[index]!;
      if (role === "healthy") {
        const options = {
          client,
          index,
          tag,
          source: this.#source,
          schedule,
          messages,
          startUs,
          lag: this.#lag,
        };
        this.#senders.push(new Sender({ ...options, tail: this.wire.messageTail }, this.#heads(index)));
      } else if (chaosOn) misbehave(client, role, () => this.#reopened(index), this.#over.signal);
    }
    if (messages === 0) this.#senders = [];
    this.#pumpDue(0, schedule, startUs);
  }

  report(): Omit<WorkerProgress, "cpuUs" | "activeMs" | "wallMs"> {
    const { deliveries, distinct, deliveredBytes, recent, intended } = this.#counters;
    const latency = { counts: recent.counts.slice(), max: recent.max };
    intended.add(recent);
    recent.clear();
    return {
      sent: sum(this.#senders.map(({ sent }) => sent)),
      sentBytes: sum(this.#senders.map(({ sentBytes }) => sentBytes)),
      deliveries,
      deliveredBytes,
      allSent: this.#senders.every(({ done }) => done),
      allReceived: distinct >= this.#expected(),
      closed: this.#closed().length,
      latency,
    };
  }

  /** Stops sending, waits until nothing is in flight, and returns the result. */
  async finish(): Promise<WorkerResult> {
    clearTimeout(this.#timer);
    const closed = this.#closed();
    const behaving = this.#clients.filter((_, place) => this.#isHealthy(place));
    await Promise.race([
      Promise.all(behaving.map((client) => client.fence())),
      new Promise((resolve) => setTimeout(resolve, FENCE_TIMEOUT_MS).unref()),
    ]);
    this.#over.abort();
    this.#counters.intended.add(this.#counters.recent);
    return { ...this.#delivered(), closed };
  }

  /** Whether that address gave another of these clients an id. */
  #isHub({ address }: Client): boolean {
    return this.#clients.some((client) => client?.address === address && client.id > 0);
  }

  #reopened(index: number): Client {
    const client = this.#newClient(index);
    client.greet(index);
    return client;
  }

  #newClient(index: number): Client {
    const { addresses, token, tls, roles, clients, messages, tag } = this.share;
    const healthy = roles[index] === "healthy";
    const log = new DeliveryLog(clients, messages, this.wire.echoes ? -1 : index);
    if (healthy) this.#logs[index - this.share.first] = log;
    const idOf = (client: number): number | undefined => this.#ids[client];
    const sink = healthy ? new Receiver(log, this.#counters, this.#source, tag, idOf) : IGNORES;
    const address = addresses[index % addresses.length]!;
    return new Client({ address, token, tls, wire: this.wire, readBuffer: this.#readBuffer }, sink);
  }

  /** Messages are due in the order of the clients, round after round: one place in that order is the whole state. */
  #pumpDue(from: number, schedule: Schedule, startUs: number): void {
    const senders = this.#senders;
    const total = schedule.paced ? senders.length * this.share.messages : senders.length;
    let place = from;
    for (; place < total; place += 1) {
      const index = this.share.first + (place % senders.length);
      const waitUs = startUs + schedule.dueUs(index, Math.floor(place / senders.length)) - nowUs();
      if (waitUs > 0) {
        const next = place;
        this.#timer = setTimeout(() => this.#pumpDue(next, schedule, startUs), Math.ceil(waitUs / 1000));
        return;
      }
      senders[place % senders.length]!.pump();
    }
  }

  #heads(index: number): (readonly Buffer[])[] {
    const receivers = this.#ids.filter((_, other) => other !== index);
    const orders = this.share.lists === "different" ? LIST_ORDERS : 1;
    return Array.from({ length: orders }, (_, order) =>
      this.wire.messageHeads([...receivers.slice(order), ...receivers.slice(0, order)], this.share.size),
    );
  }

  #isHealthy(place: number): boolean {
    return this.share.roles[this.share.first + place] === "healthy";
  }

  #expected(): number {
    const { roles, messages } = this.share;
    const senders = roles.filter((role) => role === "healthy").length - (this.wire.echoes ? 0 : 1);
    return this.#clients.filter((_, place) => this.#isHealthy(place)).length * senders * messages;
  }

  #closed(): number[] {
    const indexes = this.#clients.map(({ ended }, place) => (ended === "" ? -1 : this.share.first + place));
    return indexes.filter((index) => index >= 0 && this.share.roles[index] === "healthy");
  }

  #delivered(): Omit<WorkerResult, "closed"> {
    const { first, clients } = this.share;
    const next = new Uint32Array(this.#logs.length * clients);
    for (const [place, log] of this.#logs.entries()) next.set(log.next, place * clients);
    const faults = this.#logs.flatMap((log, place) =>
      [...log.faults()].map(([sender, pair]) => ({ sender, receiver: first + place, ...pair })),
    );
    const { intended, actual, lastDeliveryUs } = this.#counters;
    return {
      sent: this.#senders.map(({ sent }) => sent),
      next,
      faults,
      intended: { counts: intended.counts, max: intended.max },
      actual: { counts: actual.counts, max: actual.max },
      lag: { counts: this.#lag.counts, max: this.#lag.max },
      firstSentUs: Math.min(...this.#senders.map(({ firstSentUs }) => firstSentUs)),
      pauseMaxUs: Math.max(0, ...this.#senders.map(({ pauseMaxUs }) => pauseMaxUs)),
      lastDeliveryUs,
    };
  }
}

/** Calls `work` with 0 to before `count`, a bounded number at the same time. */
async function inTurns(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(count, AT_ONCE) }, worker));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function notVisibleError(share: Share, client: Client, seen: number, waitedMs: number): HubcastError {
  const who = `client ${client.id} at ${hostAndPort(client.address)}`;
  const message = `${who} sees ${seen} others after ${waitedMs / 1_000} s, not all ${share.clients - 1}`;
  return share.addresses.length > 1
    ? new HubcastError("hubsApart", message, { suggestions: ["Look whether these hubs are connected."] })
    : new HubcastError("deadline", message, { suggestions: ["Look whether the hub is overloaded."] });
}

/** Hubs of one federation share one space of ids. */
function duplicateIdError(addresses: readonly HubAddress[]): HubcastError {
  const where = addresses.map(hostAndPort).join(", ");
  return new HubcastError("hubsApart", `the hubs at ${where} gave two clients the same id`, {
    suggestions: ["They are not connected to each other: load one at a time."],
  });
}

/** Version 1 has no frame for it: a full hub closes further connections. */
function hubFullError({ clients, addresses }: Share, address: HubAddress, cause: unknown): HubcastError {
  const wanted = Math.ceil(clients / addresses.length);
  const message = `the hub at ${hostAndPort(address)} takes fewer than ${wanted} clients`;
  return new HubcastError("tooManyClients", message, {
    cause,
    suggestions: ["Start it with a larger --clients-max, or pass fewer --clients."],
  });
}
