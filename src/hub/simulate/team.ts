import { HubcastError } from "../../core/errors.js";
import { Histogram } from "../../core/histogram.js";
import { misbehave } from "./chaos.js";
import { Client, type DeliverySink } from "./client.js";
import { nowUs } from "./clock.js";
import { blindError, fullError, strangersError } from "./obstacles.js";
import type { Beat, Share, WorkerResult } from "./orders.js";
import { Ledger } from "./protocol/ledger.js";
import { Tape } from "./protocol/payload.js";
import { Schedule } from "./protocol/schedule.js";
import type { Wire } from "./protocol/wire.js";
import { Receiver, type Tally } from "./receiver.js";
import { Sender } from "./sender.js";

const READ_BYTES = 131_072;
/** Clients that dial at the same time, and ask for the list at the same time: a hub may get all of them at once from several workers. */
const AT_ONCE = 64;
/** Where there are many clients, not all ask for the list of all: n lists of n ids. */
const ASKING_MAX = 256;
const SEES_ALL_TIMEOUT_MS = 20_000;
const FENCE_TIMEOUT_MS = 2_000;
/** Orders in which a sender lists its receivers, where they differ. */
const LIST_ORDERS = 16;
const IGNORES: DeliverySink = {
  chunkCame() {},
  payload() {},
  payloadBegins() {},
  payloadPiece() {},
  payloadEnds() {},
};

/** All simulated clients of one process. */
export class Team {
  readonly #clients: Client[] = [];
  readonly #ledgers: Ledger[] = [];
  #senders: Sender[] = [];
  readonly #lag = new Histogram();
  readonly #tally: Tally = {
    deliveries: 0,
    distinct: 0,
    deliveredBytes: 0,
    lastDeliveryUs: 0,
    recent: new Histogram(),
    intended: new Histogram(),
    actual: new Histogram(),
  };
  readonly #tape: Tape;
  readonly #readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly #over = new AbortController();
  #ids: readonly number[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly share: Share,
    private readonly wire: Wire,
  ) {
    this.#tape = new Tape(share.size);
  }

  /** @returns their ids @throws unreachable, notHubcast */
  async open(): Promise<number[]> {
    const { first, end } = this.share;
    await inTurns(end - first, async (place) => {
      const client = this.#newClient(first + place);
      this.#clients[place] = client;
      await client.open(first + place).catch((error: unknown) => {
        const code = error instanceof HubcastError ? error.code : undefined;
        const closed = code === "notHubcast" || code === "tooManyClients";
        throw closed && this.#isHub(client) ? fullError(this.share, client.address, error) : error;
      });
    });
    return this.#clients.map(({ id }) => id);
  }

  /** Resolves when every client sees all others: only then is everyone there. @throws deadline, connectionLost */
  async meet(ids: readonly number[]): Promise<void> {
    this.#ids = ids;
    if (this.wire.list === undefined) return;
    if (new Set(ids).size < ids.length) throw strangersError(this.share.addresses);
    const deadlineMs = performance.now() + SEES_ALL_TIMEOUT_MS;
    const asking = ids.length > ASKING_MAX ? Math.min(this.#clients.length, 16) : this.#clients.length;
    await inTurns(asking, async (place) => {
      const client = this.#clients[place]!;
      for (;;) {
        const seen = new Set(await client.list());
        if (ids.every((id) => id === client.id || seen.has(id))) return;
        if (performance.now() > deadlineMs)
          throw blindError(this.share, client, seen.size, SEES_ALL_TIMEOUT_MS);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    });
  }

  /** Sends and misbehaves from that instant on. */
  go(startUs: number): void {
    const { messages, clients, intervalUs, tag, roles, first, chaosOn } = this.share;
    const schedule = new Schedule(clients, messages, intervalUs);
    for (const [place, client] of this.#clients.entries()) {
      const index = first + place;
      const role = roles[index]!;
      if (role === "healthy") {
        const options = { client, index, tag, tape: this.#tape, schedule, messages, startUs, lag: this.#lag };
        this.#senders.push(new Sender({ ...options, tail: this.wire.messageTail }, this.#heads(index)));
      } else if (chaosOn) misbehave(client, role, () => this.#reopened(index), this.#over.signal);
    }
    if (messages === 0) this.#senders = [];
    this.#pumpDue(0, schedule, startUs);
  }

  beat(): Omit<Beat, "cpuUs" | "activeMs" | "wallMs"> {
    const { deliveries, distinct, deliveredBytes, recent, intended } = this.#tally;
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

  /** Sends no more, waits until nothing is on its way, and says what came. */
  async finish(): Promise<WorkerResult> {
    clearTimeout(this.#timer);
    const closed = this.#closed();
    const behaving = this.#clients.filter((_, place) => this.#isHealthy(place));
    await Promise.race([
      Promise.all(behaving.map((client) => client.fence())),
      new Promise((resolve) => setTimeout(resolve, FENCE_TIMEOUT_MS).unref()),
    ]);
    this.#over.abort();
    this.#tally.intended.add(this.#tally.recent);
    return { ...this.#delivered(), closed };
  }

  /** What listens there gave one of our clients an id. */
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
    const ledger = new Ledger(clients, messages, this.wire.echoes ? -1 : index);
    if (healthy) this.#ledgers[index - this.share.first] = ledger;
    const sink = healthy ? new Receiver(ledger, this.#tally, this.#tape, tag) : IGNORES;
    const address = addresses[index % addresses.length]!;
    return new Client({ address, token, tls, wire: this.wire, readBuffer: this.#readBuffer }, sink);
  }

  /** Messages are due in the order of the clients, round after round: one place in that order is all there is to keep. */
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
    const next = new Uint32Array(this.#ledgers.length * clients);
    for (const [place, ledger] of this.#ledgers.entries()) next.set(ledger.next, place * clients);
    const faults = this.#ledgers.flatMap((ledger, place) =>
      [...ledger.faults()].map(([sender, pair]) => ({ sender, receiver: first + place, ...pair })),
    );
    const { intended, actual, lastDeliveryUs } = this.#tally;
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

/** Calls `work` with 0 to before `count`, some at the same time. */
async function inTurns(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(count, AT_ONCE) }, lane));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
