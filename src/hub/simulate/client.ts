import type { Socket } from "node:net";
import { HubcastError } from "../../core/errors.js";
import type { CloseReason } from "../protocol/close-reason.js";
import type { HubAddress } from "../remote/address.js";
import type { HubTls } from "../remote/options.js";
import { refusalOf } from "../remote/refusal.js";
import { openSocket } from "../remote/socket.js";
import { addressText } from "./options.js";
import { FrameReader, type FrameSink } from "./protocol/frame-reader.js";
import { KIND, type Wire } from "./protocol/wire.js";

const ANSWER_TIMEOUT_MS = 10_000;

interface ClientOptions {
  readonly address: HubAddress;
  readonly wire: Wire;
  readonly token?: string | undefined;
  readonly tls?: HubTls | undefined;
  /** All reads of a process go there, one after the other: it stays in the cache, and 10,000 idle clients need no more. */
  readonly readBuffer: Buffer;
}

/** What a client does with deliveries; answers it keeps to itself. */
export interface DeliverySink extends Omit<FrameSink, "answer"> {
  /** Bytes have come off the socket. */
  chunkCame(): void;
}

/** One connection of a simulated client. */
export class Client {
  id = 0;
  /** Why the connection ended; empty while it stands. */
  ended = "";
  /** Called once, when it ends. */
  onEnd: () => void = () => {};
  readonly socket: Socket;
  readonly #waiting: ((body: Buffer | undefined) => void)[] = [];
  #error: Error | undefined;
  /** Why the hub closes the connection, where it says so. */
  #reason: CloseReason | undefined;

  constructor(
    private readonly options: ClientOptions,
    sink: DeliverySink,
  ) {
    const { address, tls, wire, readBuffer } = options;
    const reader = new FrameReader(wire, {
      payload: (bytes, from, to) => sink.payload(bytes, from, to),
      payloadBegins: () => sink.payloadBegins(),
      payloadPiece: (bytes, from, to) => sink.payloadPiece(bytes, from, to),
      payloadEnds: () => sink.payloadEnds(),
      answer: (kind, body) => this.#answered(kind, body),
    });
    this.socket = openSocket(address, tls, readBuffer, (bytes) => {
      try {
        sink.chunkCame();
        reader.feed(bytes, bytes.length);
      } catch (error) {
        this.#error = new Error(`what came is no such protocol: ${(error as Error).message}`);
        this.socket.destroy();
      }
      return !this.stopsReading;
    });
    this.socket.on("error", (error) => {
      this.#error = error;
    });
    this.socket.once("close", () => {
      this.ended = this.#error?.message ?? "the hub closed the connection";
      for (const answer of this.#waiting.splice(0)) answer(undefined);
      this.onEnd();
    });
  }

  /** Set by those that misbehave: nothing more is read until `socket.resume()`. */
  stopsReading = false;

  get address(): HubAddress {
    return this.options.address;
  }

  /** Says who it is, and learns its own id. @throws unreachable, notHubcast */
  async open(index: number): Promise<void> {
    const { wire, token } = this.options;
    const body = await this.#ask(wire.hello(index, token));
    this.id = wire.readId?.(body) ?? index + 1;
  }

  /** The same, without waiting. */
  greet(index: number): void {
    const { wire, token } = this.options;
    this.socket.write(wire.hello(index, token));
  }

  /** Resets the connection. A TLS socket can only close it. */
  cut(): void {
    if (this.options.tls === undefined) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  /** Ids of all others. @throws unreachable, notHubcast, connectionLost */
  async list(): Promise<number[]> {
    const { list, readList } = this.options.wire;
    return list && readList ? readList(await this.#ask(list)) : [];
  }

  /** Resolves when everything that was queued for this client before is here, or the connection has ended. */
  async fence(): Promise<void> {
    if (this.ended === "") await this.#ask(this.options.wire.fence).catch(() => {});
  }

  async #ask(question: Buffer): Promise<Buffer> {
    const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
    const timer = setTimeout(() => resolve(undefined), ANSWER_TIMEOUT_MS);
    this.#waiting.push(resolve);
    this.socket.write(question);
    const body = await promise;
    clearTimeout(timer);
    if (body === undefined) throw this.#failure();
    return body;
  }

  #answered(kind: number, body: Buffer): void {
    if (kind === KIND.identity || kind === KIND.list) this.#waiting.shift()?.(body);
    else if (kind === KIND.goodbye) this.#reason = this.options.wire.readReason?.(body);
    else if (kind === KIND.ping && this.options.wire.pong) this.socket.write(this.options.wire.pong(body));
  }

  #failure(): HubcastError {
    const where = addressText(this.options.address);
    const error = this.#error;
    const refusal = this.#reason && refusalOf(this.#reason, where);
    if (refusal) return refusal;
    if (this.id > 0) return new HubcastError("connectionLost", `the hub at ${where} closed the connection`);
    if (error && "syscall" in error && error.syscall !== "read") {
      return new HubcastError("unreachable", `no hub answers at ${where}: ${error.message}`, {
        suggestions: [
          "Start one with `hubcast hub start`, or leave out --addr: a hub is started for the run.",
        ],
      });
    }
    const what = this.ended === "" ? `said nothing for ${ANSWER_TIMEOUT_MS / 1000} s` : this.ended;
    return new HubcastError("notHubcast", `what listens at ${where} gave a client no id: ${what}`, {
      suggestions: [
        "Check the address and port.",
        this.options.tls === undefined
          ? "A hub that talks TLS needs --tls-ca."
          : "Leave out --tls-ca where the hub does not talk TLS.",
        "A hub with a token needs --token-file; a full one takes no clients at all (--clients-max).",
      ],
    });
  }
}
