import { HubcastError } from "../../core/errors.js";
import type { CloseReason } from "../protocol/close-reason.js";
import type { HubFrame, HubPeer } from "../protocol/decode.js";
import { newFrame, pingFrame } from "../protocol/encode.js";
import {
  namedRelayHead,
  nameFrame,
  plainRelayHead,
  toAllHead,
  toGroupHead,
} from "../protocol/encode-client.js";
import { FRAME } from "../protocol/frame-type.js";
import type { HubAddress } from "./address.js";
import { checkGroup, checkReceivers, payloadBytes } from "./check.js";
import { dial, type Line } from "./dial.js";
import type { HubClient, SendOptions } from "./hub-client.js";
import { Mailbox } from "./mailbox.js";
import { eventOf, messageOf, messageSize } from "./message.js";
import type { HubClientEvent, HubClientOptions, HubMessage, HubReceipt } from "./options.js";
import { isFinal, Redial } from "./redial.js";

const BACKLOG_BYTES = 8 * 1024 * 1024;
const EVENTS_MAX = 10_000;
const PING_TOKEN = Buffer.from("roundtrp");

/** A client that dials again when its connection is lost. */
export class ReconnectingClient implements HubClient {
  #line: Line | undefined;
  #id = 0;
  #version = 1;
  #hubName = "";
  #closed = false;
  #lostAtMs = 0;
  readonly #redial: Redial;
  readonly #groups = new Set<string>();
  readonly #messages: Mailbox<HubMessage>;
  readonly #events: Mailbox<HubClientEvent>;
  readonly #stop = new AbortController();

  constructor(
    private readonly address: HubAddress,
    private readonly options: HubClientOptions,
  ) {
    const backlog = options.backlogBytesMax ?? BACKLOG_BYTES;
    const onRoom = (): void => this.#line?.link.resume();
    this.#messages = new Mailbox(backlog, messageSize, onRoom);
    this.#events = new Mailbox<HubClientEvent>(EVENTS_MAX, () => 1, onRoom);
    this.#redial = new Redial(options.random ?? Math.random, () => this.#dialAgain());
    options.signal?.addEventListener("abort", () => void this.close(), { once: true });
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
    return this.#line !== undefined;
  }

  /** Dials, and says hello. @throws unreachable, notHubcast, unauthorized, tooManyClients, stopping */
  async open(): Promise<void> {
    await dial(this.address, this.options, this.#stop.signal, {
      onOpen: (line) => {
        this.#id = line.id;
        this.#version = line.version;
        this.#hubName = line.hubName;
        this.#line = line;
      },
      onFrame: (frame) => this.#onFrame(frame),
      onLost: (reason) => this.#onLost(reason),
    });
  }

  async list(options: { signal?: AbortSignal } = {}): Promise<readonly number[]> {
    const { link, calls } = this.#connectedLine();
    return await calls.lists.ask(() => this.#ask(link.send(newFrame(FRAME.list, 0))), options.signal);
  }

  async roster(options: { signal?: AbortSignal } = {}): Promise<readonly HubPeer[]> {
    const { link, calls } = this.#lineOfVersion2("roster");
    return await calls.rosters.ask(() => this.#ask(link.send(newFrame(FRAME.roster, 0))), options.signal);
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
    this.#lineOfVersion2("sendToAll");
    return await this.#send(payload, options, toAllHead);
  }

  async sendToGroup(
    group: string,
    payload: Uint8Array | string,
    options: SendOptions = {},
  ): Promise<HubReceipt | undefined> {
    this.#lineOfVersion2("sendToGroup");
    checkGroup(group);
    return await this.#send(payload, options, (bytes, number) => toGroupHead(group, bytes, number));
  }

  async join(group: string, options: { signal?: AbortSignal } = {}): Promise<number> {
    const { link, calls } = this.#lineOfVersion2("join");
    checkGroup(group);
    const members = await calls.groups.ask(
      () => this.#ask(link.send(nameFrame(FRAME.join, group))),
      options.signal,
    );
    this.#groups.add(group);
    return members;
  }

  async leave(group: string, options: { signal?: AbortSignal } = {}): Promise<number> {
    const { link, calls } = this.#lineOfVersion2("leave");
    checkGroup(group);
    this.#groups.delete(group);
    return await calls.groups.ask(() => this.#ask(link.send(nameFrame(FRAME.leave, group))), options.signal);
  }

  async ping(options: { signal?: AbortSignal } = {}): Promise<number> {
    const { link, calls } = this.#lineOfVersion2("ping");
    const sentAtMs = performance.now();
    await calls.pings.ask(() => this.#ask(link.send(pingFrame(FRAME.ping, PING_TOKEN))), options.signal);
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
    const line = this.#line;
    if (line === undefined) this.#end();
    else {
      line.link.end();
      await line.closed;
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
    const { link, calls } = receipt === true ? this.#lineOfVersion2("a receipt") : this.#connectedLine();
    if (receipt === true) {
      return await calls.receipt(
        (number) => this.#ask(link.send(headOf(bytes.length, number), bytes)),
        signal,
      );
    }
    await link.send(headOf(bytes.length, 0), bytes);
    return undefined;
  }

  /** An answer is on its way: read on, even if messages wait to be read. */
  #ask(_sent: Promise<void>): void {
    this.#line?.link.resume();
  }

  #onFrame(frame: HubFrame): boolean {
    const message = messageOf(frame);
    const event = message === undefined ? eventOf(frame) : undefined;
    if (message !== undefined) this.#messages.put(message);
    else if (event !== undefined) this.#events.put(event);
    else this.#line?.calls.take(frame);
    return !this.#messages.full || this.#line?.calls.pending === true;
  }

  #onLost(reason: CloseReason): void {
    this.#line = undefined;
    this.#lostAtMs = Date.now();
    const final = this.#closed || this.options.reconnect === false || isFinal(reason);
    if (!this.#closed) this.#events.put({ type: "disconnected", reason, final });
    if (final) this.#end();
    else this.#redial.start();
  }

  async #dialAgain(): Promise<"done" | "again"> {
    const previousId = this.#id;
    const missedFromMs = this.#lostAtMs;
    try {
      await this.open();
    } catch (error) {
      const refused = error instanceof HubcastError && error.code === "unauthorized";
      if (!this.#closed && !refused) return "again";
      this.#end();
      return "done";
    }
    for (const group of this.#groups) this.join(group).catch(() => {});
    const missedUntilMs = Date.now();
    this.#events.put({ type: "reconnected", id: this.#id, previousId, missedFromMs, missedUntilMs });
    return "done";
  }

  #end(): void {
    this.#closed = true;
    if (this.#messages.dropped > 0) this.#events.put({ type: "dropped", messages: this.#messages.dropped });
    this.#messages.end();
    this.#events.end();
  }

  #connectedLine(): Line {
    if (this.#line !== undefined) return this.#line;
    throw new HubcastError(
      "connectionLost",
      this.#closed ? "the client is closed" : "not connected to the hub now",
    );
  }

  #lineOfVersion2(what: string): Line {
    const line = this.#connectedLine();
    if (line.version > 1) return line;
    throw new HubcastError("invalidOption", `${what} needs version 2 of the protocol`, {
      suggestions: ["Connect without version: 1."],
    });
  }
}
