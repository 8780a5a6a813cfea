import type { Socket } from "node:net";
import { HubcastError } from "../../core/errors.js";
import { hostAndPort } from "../../core/hosts.js";
import { connectError, openSocket, refusalOf } from "../client/connection.js";
import type { HubAddress, HubTls } from "../client/options.js";
import type { CloseReason } from "../machine/frames.js";
import type { ChaosRole } from "./proof/statistics.js";
import { FrameReader, type FrameSink, KIND, type Wire } from "./proof/wire.js";

const ANSWER_TIMEOUT_MS = 10_000;

interface ClientOptions {
  readonly address: HubAddress;
  readonly wire: Wire;
  readonly token?: string | undefined;
  readonly tls?: HubTls | undefined;
  /** Shared by all reads of a process: it stays in the cache, and 10,000 idle clients need no more. */
  readonly readBuffer: Buffer;
}

/** Receives the deliveries of a client; the client handles answers itself. */
export interface DeliverySink extends Omit<FrameSink, "answer"> {
  /** Bytes have arrived. */
  chunkCame(): void;
}

/** One simulated client and its connection. */
export class Client {
  id = 0;
  /** Why the connection ended; empty while it is open. */
  ended = "";
  /** Called once, when it ends. */
  onEnd: () => void = () => {};
  readonly socket: Socket;
  readonly #waiting: ((body: Buffer | undefined) => void)[] = [];
  #error: Error | undefined;
  /** The hub's reason for closing the connection, if it told one. */
  #reason: CloseReason | undefined;

  constructor(
    private readonly options: ClientOptions,
    sink: DeliverySink,
  ) {
    const { address, tls, wire, readBuffer } = options;
    const reader = new FrameReader(wire, {
      payload: (bytes, from, to, sender) => sink.payload(bytes, from, to, sender),
      payloadBegins: (sender) => sink.payloadBegins(sender),
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

  /** Set by misbehaving clients: nothing more is read until `socket.resume()`. */
  stopsReading = false;

  get address(): HubAddress {
    return this.options.address;
  }

  /** Says hello and learns its own id. @throws unreachable, notHubcast */
  async open(index: number): Promise<void> {
    const { wire, token } = this.options;
    const body = await this.#ask(wire.hello(index, token));
    this.id = wire.readId?.(body) ?? index + 1;
  }

  /** Says hello without waiting for the answer. */
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

  /** Resolves when everything queued for this client before has arrived, or the connection has ended. */
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
    const where = hostAndPort(this.options.address);
    const error = this.#error;
    const refusal = this.#reason && refusalOf(this.#reason, where);
    if (refusal) return refusal;
    if (this.id > 0) return new HubcastError("connectionLost", `the hub at ${where} closed the connection`);
    const known = error && connectError(error, where, this.options.tls !== undefined);
    if (known !== undefined) return known;
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

/** A slow reader takes one read (128 KiB), then rests: 2.6 MB/s at most. */
const SLOW_READ_REST_MS = 50;
const KILL_INTERVAL_MS = 100;

/**
 * Makes a client play its role until `signal` aborts.
 * @param reopen dials the hub again, for clients that cut their own connection
 */
export function misbehave(client: Client, role: ChaosRole, reopen: () => Client, signal: AbortSignal): void {
  switch (role) {
    case "slowReader":
      client.stopsReading = true;
      repeat(SLOW_READ_REST_MS, () => client.socket.resume(), signal);
      break;
    case "staller":
      client.stopsReading = true;
      client.socket.pause();
      break;
    case "halfOpen":
      // Sends its end and reads nothing more.
      client.stopsReading = true;
      client.socket.pause();
      client.socket.end();
      break;
    case "midFrameKiller": {
      let current = client;
      const kill = (): void => {
        cutMidFrame(current);
        current = reopen();
      };
      kill();
      repeat(KILL_INTERVAL_MS, kill, signal);
    }
  }
}

/** The head of a relay of 100,000 bytes, the first of its bytes, and a reset. */
function cutMidFrame(client: Client): void {
  const frame = Buffer.alloc(1_000, "x");
  frame.writeUInt32BE(100_000, 0);
  frame[4] = 3;
  frame[5] = 0;
  client.socket.write(frame, () => client.cut());
}

function repeat(intervalMs: number, work: () => void, signal: AbortSignal): void {
  const timer = setInterval(work, intervalMs);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}
