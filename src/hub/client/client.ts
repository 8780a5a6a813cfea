import { HubcastError } from "../../core/errors.js";
import type { Random } from "../../core/machine.js";
import { backoffMs } from "../../core/rates.js";
import {
  type CloseReason,
  FRAME,
  type HubFrame,
  type HubPeer,
  namedRelayHead,
  nameFrame,
  newFrame,
  pingFrame,
  plainRelayHead,
  toAllHead,
  toGroupHead,
} from "../machine/frames.js";
import { dial, type OpenConnection } from "./dial.js";
import {
  type CompleteHubClientOptions,
  checkGroup,
  checkReceivers,
  type HubAddress,
  type HubClient,
  type HubClientEvent,
  type HubMessage,
  type HubReceipt,
  payloadBytes,
  type SendOptions,
} from "./options.js";

const EVENTS_MAX = 10_000;
const PING_TOKEN = Buffer.from("roundtrp");

/** A client that dials again when its connection is lost. */
export class ReconnectingClient implements HubClient {
  #connection: OpenConnection | undefined;
  #id = 0;
  #version = 1;
  #hubName = "";
  #closed = false;
  /** Why the connection was lost last. */
  #lostBy: CloseReason | undefined;
  #lostAtMs = 0;
  /** The error of a redial that the hub has refused for good. */
  #refusal: HubcastError | undefined;
  readonly #redial: Redial;
  readonly #groups = new Set<string>();
  readonly #messages: MessageQueue<HubMessage>;
  readonly #events: MessageQueue<HubClientEvent>;
  readonly #stop = new AbortController();

  constructor(
    private readonly address: HubAddress,
    private readonly options: CompleteHubClientOptions,
  ) {
    const onRoom = (): void => this.#connection?.socket.resume();
    this.#messages = new MessageQueue(options.backlogBytesMax, messageSize, onRoom);
    this.#events = new MessageQueue<HubClientEvent>(EVENTS_MAX, () => 1, onRoom);
    this.#redial = new Redial(options.random, () => this.#dialAgain());
    const { signal } = this.#stop;
    // A signal may outlive thousands of clients.
    options.signal?.addEventListener("abort", () => void this.close(), { once: true, signal });
  }

  get id(): number {
    return this.#id;
  }

  get version(): number {
    return this.#version;
  }

  get hubName(): string {
    return this.#hubName;
  }

  get connected(): boolean {
    return this.#connection !== undefined;
  }

  /** Dials, and says hello. @throws unreachable, notHubcast, unauthorized, tooManyClients, stopping */
  async open(onOpen = () => {}): Promise<void> {
    await dial(this.address, this.options, this.#stop.signal, {
      onOpen: (connection) => {
        this.#id = connection.id;
        this.#version = connection.version;
        this.#hubName = connection.hubName;
        this.#connection = connection;
        // Before what comes on it.
        onOpen();
      },
      onFrame: (frame) => this.#onFrame(frame),
      onLost: (reason) => this.#onLost(reason),
    });
  }

  async list(options: { signal?: AbortSignal } = {}): Promise<readonly number[]> {
    const { socket, calls } = this.#open();
    return await calls.lists.ask(() => this.#ask(socket.send(newFrame(FRAME.list, 0))), options.signal);
  }

  async roster(options: { signal?: AbortSignal } = {}): Promise<readonly HubPeer[]> {
    const { socket, calls } = this.#openVersion2("roster");
    return await calls.rosters.ask(() => this.#ask(socket.send(newFrame(FRAME.roster, 0))), options.signal);
  }

  async relay(
    receivers: readonly number[],
    payload: Uint8Array | string,
    options: SendOptions = {},
  ): Promise<HubReceipt | undefined> {
    checkReceivers(receivers);
    return await this.#send(payload, options, (bytes, number) =>
      this.#version === 1 ? plainRelayHead(receivers, bytes) : namedRelayHead(receivers, bytes, number),
    );
  }

  async sendToAll(payload: Uint8Array | string, options: SendOptions = {}): Promise<HubReceipt | undefined> {
    this.#openVersion2("sendToAll");
    return await this.#send(payload, options, toAllHead);
  }

  async sendToGroup(
    group: string,
    payload: Uint8Array | string,
    options: SendOptions = {},
  ): Promise<HubReceipt | undefined> {
    this.#openVersion2("sendToGroup");
    checkGroup(group);
    return await this.#send(payload, options, (bytes, number) => toGroupHead(group, bytes, number));
  }

  async join(group: string, options: { signal?: AbortSignal } = {}): Promise<number> {
    const { socket, calls } = this.#openVersion2("join");
    checkGroup(group);
    // From now on: `leave` may be called before the answer.
    const isNew = !this.#groups.has(group);
    this.#groups.add(group);
    try {
      return await calls.groups.ask(
        () => this.#ask(socket.send(nameFrame(FRAME.join, group))),
        options.signal,
      );
    } catch (error) {
      if (isNew) this.#groups.delete(group);
      throw error;
    }
  }

  async leave(group: string, options: { signal?: AbortSignal } = {}): Promise<number> {
    const { socket, calls } = this.#openVersion2("leave");
    checkGroup(group);
    this.#groups.delete(group);
    return await calls.groups.ask(
      () => this.#ask(socket.send(nameFrame(FRAME.leave, group))),
      options.signal,
    );
  }

  async ping(options: { signal?: AbortSignal } = {}): Promise<number> {
    const { socket, calls } = this.#openVersion2("ping");
    const sentAtMs = performance.now();
    await calls.pings.ask(() => this.#ask(socket.send(pingFrame(FRAME.ping, PING_TOKEN))), options.signal);
    return performance.now() - sentAtMs;
  }

  messages(options: { signal?: AbortSignal } = {}): AsyncIterableIterator<HubMessage> {
    return this.#messages.read(options.signal);
  }

  events(options: { signal?: AbortSignal } = {}): AsyncIterableIterator<HubClientEvent> {
    return this.#events.read(options.signal);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#redial.stop();
    this.#stop.abort();
    const connection = this.#connection;
    if (connection === undefined) this.#end();
    else {
      connection.socket.end();
      await connection.closed;
    }
  }

  readonly [Symbol.asyncDispose] = (): Promise<void> => this.close();

  async #send(
    payload: Uint8Array | string,
    { receipt, signal }: SendOptions,
    headOf: (payloadBytes: number, number: number) => Buffer,
  ): Promise<HubReceipt | undefined> {
    signal?.throwIfAborted();
    const bytes = payloadBytes(payload);
    const { socket, calls } = receipt === true ? this.#openVersion2("a receipt") : this.#open();
    if (receipt === true) {
      return await calls.receipt(
        (number) => this.#ask(socket.send(headOf(bytes.length, number), bytes)),
        signal,
      );
    }
    await socket.send(headOf(bytes.length, 0), bytes);
    return undefined;
  }

  /** An answer is due: read on, even if messages wait to be read. */
  #ask(sent: Promise<void>): void {
    // A failed write closes the connection, which rejects the call.
    sent.catch(() => {});
    this.#connection?.socket.resume();
  }

  #onFrame(frame: HubFrame): boolean {
    const message = messageOf(frame);
    const event = message === undefined ? eventOf(frame) : undefined;
    if (message !== undefined) this.#messages.put(message);
    else if (event !== undefined) this.#events.put(event);
    else this.#connection?.calls.take(frame);
    const isFull = this.#messages.full || this.#events.full;
    return !isFull || this.#connection?.calls.pending === true;
  }

  #onLost(reason: CloseReason): void {
    this.#connection = undefined;
    this.#lostAtMs = Date.now();
    this.#lostBy = reason;
    const final = this.#closed || this.options.reconnect === false || isFinal(reason);
    if (!this.#closed) this.#events.put({ type: "disconnected", reason, final });
    if (final) this.#end();
    else this.#redial.start();
  }

  async #dialAgain(): Promise<"done" | "again"> {
    const previousId = this.#id;
    const missedFromMs = this.#lostAtMs;
    try {
      await this.open(() => {
        const missedUntilMs = Date.now();
        this.#events.put({ type: "reconnected", id: this.#id, previousId, missedFromMs, missedUntilMs });
      });
    } catch (error) {
      const refusal = error instanceof HubcastError && error.code === "unauthorized" ? error : undefined;
      if (!this.#closed) {
        if (refusal === undefined) return "again";
        this.#refusal = refusal;
        this.#events.put({ type: "disconnected", reason: "unauthorized", final: true });
      }
      this.#end();
      return "done";
    }
    for (const group of this.#groups) this.join(group).catch(() => {});
    return "done";
  }

  #end(): void {
    this.#closed = true;
    this.#stop.abort();
    if (this.#messages.dropped > 0) this.#events.put({ type: "dropped", messages: this.#messages.dropped });
    this.#messages.end();
    this.#events.end();
  }

  #open(): OpenConnection {
    if (this.#connection !== undefined && !this.#closed) return this.#connection;
    if (this.#refusal !== undefined) throw this.#refusal;
    const why = this.#lostBy === undefined ? "" : `: the hub closed the connection: ${this.#lostBy}`;
    throw new HubcastError(
      "connectionLost",
      `${this.#closed ? "the client is closed" : "not connected to the hub now"}${why}`,
    );
  }

  #openVersion2(what: string): OpenConnection {
    const connection = this.#open();
    if (connection.version > 1) return connection;
    throw new HubcastError("invalidOption", `${what} needs version 2 of the protocol`, {
      suggestions: ["Connect without version: 1."],
    });
  }
}

/** Reasons after which the client does not reconnect. */
const FINAL: ReadonlySet<CloseReason> = new Set([
  "unauthorized",
  "malformedFrame",
  "unknownType",
  "frameTooLarge",
]);

function isFinal(reason: CloseReason): boolean {
  return FINAL.has(reason);
}

/** Repeats an attempt with back-off until it succeeds, fails for good, or is stopped. */
class Redial {
  #timer: NodeJS.Timeout | undefined;

  /** @param attempt does not reject; returns whether to try `again` */
  constructor(
    private readonly random: Random,
    private readonly attempt: () => Promise<"done" | "again">,
  ) {}

  start(): void {
    this.#plan(0);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #plan(attempts: number): void {
    this.#timer = setTimeout(
      async () => {
        if ((await this.attempt()) === "again") this.#plan(attempts + 1);
      },
      backoffMs(attempts, this.random),
    );
  }
}

/** The cost of a message besides its payload, so that empty ones fill the backlog too. */
const MESSAGE_BYTES = 64;

/** The message in a frame, with its own copy of the payload; undefined for other frames. */
function messageOf(frame: HubFrame): HubMessage | undefined {
  if (frame.type === "message") {
    const { sender, to } = frame;
    const payload = Buffer.from(frame.payload);
    return sender === undefined ? { to, payload } : { sender, to, payload };
  }
  if (frame.type !== "groupMessage") return undefined;
  const { sender, group } = frame;
  return { sender, to: { group }, payload: Buffer.from(frame.payload) };
}

/** The event in a frame; undefined for other frames. */
function eventOf(frame: HubFrame): HubClientEvent | undefined {
  if (frame.type === "arrived" || frame.type === "departed") return frame;
  if (frame.type !== "gap") return undefined;
  return { type: "gap", hub: frame.hub, missedFromMs: frame.fromMs, missedUntilMs: frame.untilMs };
}

function messageSize({ payload }: HubMessage): number {
  return payload.length + MESSAGE_BYTES;
}

/**
 * A queue between a connection and the program that reads it. With a reader it pushes back at `sizeMax`; without one
 * it keeps the latest items and counts the dropped ones.
 */
export class MessageQueue<T> {
  /** Items dropped for lack of a reader. */
  dropped = 0;
  #items: T[] = [];
  /** Index of the oldest item: items before it were dropped. */
  #first = 0;
  #size = 0;
  #reading = false;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(
    private readonly sizeMax: number,
    private readonly sizeOf: (item: T) => number,
    /** There is room again. */
    private readonly onRoom: () => void,
  ) {}

  /** Whether the producer should stop for now. */
  get full(): boolean {
    return this.#reading && this.#size >= this.sizeMax;
  }

  put(item: T): void {
    if (this.#ended) return;
    this.#items.push(item);
    this.#size += this.sizeOf(item);
    while (!this.#reading && this.#size > this.sizeMax && this.#items.length - this.#first > 1) {
      this.#size -= this.sizeOf(this.#items[this.#first++]!);
      this.dropped += 1;
    }
    // Half of it at least: to take single items off a long array moves all of it.
    if (2 * this.#first > this.#items.length) this.#items = this.#take();
    this.#wake?.();
  }

  /** Readers get the queued items, then end. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Oldest first, until the end or until `signal` aborts. One reader at a time. @throws invalidOption */
  read(signal?: AbortSignal): AsyncIterableIterator<T> {
    return this.#loop(signal);
  }

  async *#loop(signal: AbortSignal | undefined): AsyncGenerator<T> {
    if (this.#reading) throw new HubcastError("invalidOption", "there is a reader already");
    this.#reading = true;
    const onAbort = (): void => this.#wake?.();
    signal?.addEventListener("abort", onAbort);
    try {
      while (signal?.aborted !== true) {
        if (this.#items.length > 0) {
          const batch = this.#take();
          yield* this.#drain(batch, signal);
        } else if (this.#ended) return;
        else await this.#change();
      }
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#reading = false;
      this.onRoom();
    }
  }

  *#drain(batch: T[], signal: AbortSignal | undefined): Generator<T> {
    let index = 0;
    try {
      while (index < batch.length && signal?.aborted !== true) {
        const item = batch[index]!;
        index += 1;
        const wasFull = this.full;
        this.#size -= this.sizeOf(item);
        if (wasFull && !this.full) this.onRoom();
        yield item;
      }
    } finally {
      // A reader that stopped early leaves the rest to the next one.
      if (index < batch.length) this.#items = [...batch.slice(index), ...this.#items];
    }
  }

  #take(): T[] {
    const items = this.#first > 0 ? this.#items.slice(this.#first) : this.#items;
    this.#items = [];
    this.#first = 0;
    return items;
  }

  async #change(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }
}
