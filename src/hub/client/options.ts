import { HubcastError } from "../../core/errors.js";
import type { Random } from "../../core/machine.js";
import {
  bytes,
  type Completed,
  FUNCTION,
  fieldsOf,
  type Kinds,
  kind,
  lengthMs,
  lineOf,
  PEM,
  SIGNAL,
  SWITCH,
  TEXT,
  TOKEN_SOURCE,
  type TokenSource,
  withDefault,
} from "../../core/options.js";
import type { CloseReason, HubPeer } from "../machine/frames.js";
import { HUB_LIMITS } from "../machine/limits.js";

export interface HubClientOptions {
  /** The name that other clients see; at most 64 bytes. */
  readonly name?: string;
  /** Needed where the hub asks for one. A function is asked at each dial. */
  readonly token?: TokenSource;
  /** Default 2. A hub that only knows version 1 needs 1: no names, groups, receipts or presence. */
  readonly version?: 1 | 2;
  /** Receive presence of other clients in `events()`. */
  readonly presence?: boolean;
  readonly tls?: HubTls;
  /** Dial again when the connection is lost; default true. */
  readonly reconnect?: boolean;
  /** Also dial again before the first connection, while no hub answers; default false. */
  readonly retry?: boolean;
  /** With `retry`: told why an attempt failed, before the next. */
  readonly onRetry?: (error: HubcastError) => void;
  /** The wait for the hub's first answer; default 5,000. */
  readonly connectTimeoutMs?: number;
  /** The wait for the answer to each call, and for each receipt; then it rejects with `deadline`. Default 30,000. */
  readonly callTimeoutMs?: number;
  /** Bytes of messages that wait to be read; from then on the hub is not read. Default 8 MiB. */
  readonly backlogBytesMax?: number;
  /** Ends the client when it aborts. */
  readonly signal?: AbortSignal;
  /** For the jitter; default Math.random. */
  readonly random?: Random;
}

/** `true`: the certificate must be valid for the host; `ca`: PEM of the authority, or of the certificate itself. */
export type HubTls = true | { readonly ca?: string | Buffer; readonly servername?: string };

/** Kinds and defaults of the options of `connectToHub`. */
export const HUB_CLIENT_KINDS = {
  name: lineOf(0, HUB_LIMITS.nameBytesMax),
  token: TOKEN_SOURCE,
  version: withDefault(
    kind("1 or 2", (value) => value === 1 || value === 2),
    2,
  ),
  presence: SWITCH,
  tls: fieldsOf<{ ca: string; servername: string }>(
    { ca: PEM, servername: TEXT },
    kind("true", (value) => value === true),
  ),
  reconnect: withDefault(SWITCH, true),
  retry: withDefault(SWITCH, false),
  onRetry: FUNCTION,
  connectTimeoutMs: withDefault(lengthMs(1), 5_000),
  callTimeoutMs: withDefault(lengthMs(1), 30_000),
  backlogBytesMax: withDefault(bytes(1, Number.MAX_SAFE_INTEGER), 8_388_608),
  signal: SIGNAL,
  random: withDefault(FUNCTION, Math.random),
} satisfies Kinds<HubClientOptions>;

export type CompleteHubClientOptions = Completed<HubClientOptions, typeof HUB_CLIENT_KINDS>;

/** A message from another client, or from oneself. */
export interface HubMessage {
  /** Absent in version 1. */
  readonly sender?: number;
  readonly to: "you" | "all" | { readonly group: string };
  readonly payload: Buffer;
}

/** The fate of a message, with the ids of receivers that it did not reach. */
export interface HubReceipt {
  /** Receivers for whom the last byte has left the hub. */
  readonly reached: number;
  readonly unknown: readonly number[];
  /** Listed receivers whose connection ended before that. */
  readonly evicted: readonly number[];
}

export type HubClientEvent =
  | { readonly type: "arrived"; readonly id: number; readonly name: string }
  | { readonly type: "departed"; readonly id: number; readonly name: string; readonly reason: CloseReason }
  /**
   * The connection is lost and is dialled again, unless `final`. Comes again, and final, when the hub refuses the token at a
   * redial: `reason` is `unauthorized` then.
   */
  | { readonly type: "disconnected"; readonly reason: CloseReason; readonly final: boolean }
  /**
   * Connected again, under another id: messages to `previousId`, to all or to groups in between (epoch ms) are lost,
   * and presence too. Groups were joined again.
   */
  | {
      readonly type: "reconnected";
      readonly id: number;
      readonly previousId: number;
      readonly missedFromMs: number;
      readonly missedUntilMs: number;
    }
  /**
   * The hub lost its link with another hub for a while: messages from clients of that one in between (epoch ms) may
   * be missing. The connection goes on.
   */
  | {
      readonly type: "gap";
      /** Name of the other hub. */
      readonly hub: string;
      readonly missedFromMs: number;
      readonly missedUntilMs: number;
    }
  /** Messages dropped because no reader took them. */
  | { readonly type: "dropped"; readonly messages: number };

export interface SendOptions {
  /** Resolve only with the hub's receipt of the message. Version 2. */
  readonly receipt?: boolean;
  readonly signal?: AbortSignal;
}

interface Abortable {
  readonly signal?: AbortSignal;
}

/**
 * A client of a hub. Everything but `close` rejects with `connectionLost` while it is not connected, and with
 * `unauthorized` when the hub has refused its token at a redial.
 */
export interface HubClient extends AsyncDisposable {
  /** The client's id; another one after each reconnect. */
  readonly id: number;
  /** The version agreed with the hub. */
  readonly version: number;
  /** The name of the hub; empty in version 1. */
  readonly hubName: string;
  readonly connected: boolean;
  /** The ids of all other clients. */
  list(options?: Abortable): Promise<readonly number[]>;
  /** All other clients with their names. Version 2. */
  roster(options?: Abortable): Promise<readonly HubPeer[]>;
  /**
   * Sends a payload (up to 1,024,000 bytes) to up to 255 receivers. Resolves when there is room for the next one,
   * or, with `receipt`, when the hub says what became of it.
   * @throws tooLarge, connectionLost
   */
  relay(
    receivers: readonly number[],
    payload: Uint8Array | string,
    options?: SendOptions,
  ): Promise<HubReceipt | undefined>;
  /** Sends to all other clients. Version 2. */
  sendToAll(payload: Uint8Array | string, options?: SendOptions): Promise<HubReceipt | undefined>;
  /** Sends to the other members of a group, which the sender need not be in. Version 2. */
  sendToGroup(
    group: string,
    payload: Uint8Array | string,
    options?: SendOptions,
  ): Promise<HubReceipt | undefined>;
  /** @returns how many members it has now. @throws tooManyGroups, invalidOption */
  join(group: string, options?: Abortable): Promise<number>;
  /** @returns how many members are left */
  leave(group: string, options?: Abortable): Promise<number>;
  /** Round trip to the hub. Version 2. @returns milliseconds */
  ping(options?: Abortable): Promise<number>;
  /**
   * Received messages, oldest first. Ends when the client is closed. While the reader takes none, the backlog fills, then
   * the hub is not read any more, which slows senders down; without a reader, the latest are kept. One reader at a
   * time. `signal` ends a reader that waits; its `return()` does so only with the next message.
   */
  messages(options?: Abortable): AsyncIterableIterator<HubMessage>;
  /** Presence of other clients and the state of the connection. One reader at a time. */
  events(options?: Abortable): AsyncIterableIterator<HubClientEvent>;
  /** Idempotent. Messages already sent are still written. */
  close(): Promise<void>;
}

const { nameBytesMax, payloadBytesMax, receiversMax, tokenBytesMax } = HUB_LIMITS;

/** The token is a secret: errors do not quote it. @throws invalidOption */
export function checkToken(token: string | undefined): void {
  if (token === undefined) return;
  const bytes = Buffer.byteLength(token);
  if (bytes >= 1 && bytes <= tokenBytesMax) return;
  throw new HubcastError("invalidOption", `token has ${bytes} bytes`, {
    suggestions: [`Pass 1 to ${tokenBytesMax} bytes.`],
  });
}

/** @throws invalidOption */
export function checkGroup(group: string): void {
  const bytes = Buffer.byteLength(group);
  if (bytes >= 1 && bytes <= nameBytesMax) return;
  throw new HubcastError("invalidOption", `the group's name has ${bytes} bytes`, {
    suggestions: [`Use 1 to ${nameBytesMax} bytes.`],
  });
}

/** @throws tooLarge */
export function checkReceivers(receivers: readonly number[]): void {
  if (receivers.length <= receiversMax) return;
  throw new HubcastError("tooLarge", `${receivers.length} receivers; a relay takes ${receiversMax}`, {
    suggestions: ["Send it in several relays, or to all, or to a group."],
  });
}

/** The payload as bytes. @throws tooLarge */
export function payloadBytes(payload: Uint8Array | string): Uint8Array {
  const bytes = typeof payload === "string" ? Buffer.from(payload) : payload;
  if (bytes.length <= payloadBytesMax) return bytes;
  throw new HubcastError("tooLarge", `the payload has ${bytes.length} bytes`, {
    suggestions: [`Send at most ${payloadBytesMax} bytes at a time.`],
  });
}

export interface HubAddress {
  readonly host: string;
  readonly port: number;
}

const PORT_DEFAULT = 9999;

/** Reads `HOST`, `HOST:PORT`, `[IPV6]:PORT` or `:PORT`. @throws invalidOption */
export function parseHubAddress(text: string): HubAddress {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*))(?::(\d+))?$/.exec(String(text).trim());
  const port = match?.[3] === undefined ? PORT_DEFAULT : Number(match[3]);
  if (typeof text !== "string" || !match || port < 1 || port > 65_535) {
    throw new HubcastError("invalidOption", `"${text}" is not the address of a hub`, {
      suggestions: ["Write HOST, HOST:PORT or [IPV6]:PORT, such as 127.0.0.1:9999."],
    });
  }
  return { host: match[1] ?? (match[2] || "127.0.0.1"), port };
}
