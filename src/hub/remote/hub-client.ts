import type { HubPeer } from "../protocol/decode.js";
import type { HubClientEvent, HubMessage, HubReceipt } from "./options.js";

export interface SendOptions {
  /** Resolve only when the hub says what became of the message. Version 2. */
  readonly receipt?: boolean;
  readonly signal?: AbortSignal;
}

interface Abortable {
  readonly signal?: AbortSignal;
}

/** A client of a hub. Everything but `close` rejects with `connectionLost` while it is not connected. */
export interface HubClient extends AsyncDisposable {
  /** Its id; another one after each reconnect. */
  readonly id: number;
  /** What was agreed with the hub. */
  readonly version: number;
  /** Of the hub; empty in version 1. */
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
  /** To all other clients. Version 2. */
  sendToAll(payload: Uint8Array | string, options?: SendOptions): Promise<HubReceipt | undefined>;
  /** To the other members of a group, which the sender need not be in. Version 2. */
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
   * What others send, oldest first. Ends when the client is closed. While it is not read, up to the backlog is kept
   * and then the hub is not read any more, which slows senders down; without any reader, the latest are kept.
   * One reader at a time.
   */
  messages(options?: Abortable): AsyncIterableIterator<HubMessage>;
  /** Comings, goings, and what happens to the connection. One reader at a time. */
  events(options?: Abortable): AsyncIterableIterator<HubClientEvent>;
  /** Idempotent. What was sent before is still written. */
  close(): Promise<void>;
}
