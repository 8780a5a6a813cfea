import type { Random } from "../../core/machine.js";
import type { CloseReason } from "../protocol/close-reason.js";

export interface HubClientOptions {
  /** What other clients see; at most 64 bytes. */
  readonly name?: string;
  /** Where the hub asks for one. */
  readonly token?: string;
  /** Default 2. A hub that only knows version 1 needs 1: no names, groups, receipts or presence. */
  readonly version?: 1 | 2;
  /** Hear of clients that come and go, in `events()`. */
  readonly presence?: boolean;
  readonly tls?: HubTls;
  /** Dial again when the connection is lost; default true. */
  readonly reconnect?: boolean;
  /** Until the hub has answered; default 5,000. */
  readonly connectTimeoutMs?: number;
  /** Bytes of messages that wait to be read; from then on the hub is not read. Default 8 MiB. */
  readonly backlogBytesMax?: number;
  /** Ends the client when it aborts. */
  readonly signal?: AbortSignal;
  /** For the jitter; default Math.random. */
  readonly random?: Random;
}

/** `true`: the certificate must be valid for the host; `ca`: PEM of the authority, or of the certificate itself. */
export type HubTls = true | { readonly ca?: string | Buffer; readonly servername?: string };

/** A message from another client, or from oneself. */
export interface HubMessage {
  /** Who sent it; absent in version 1. */
  readonly sender?: number;
  readonly to: "you" | "all" | { readonly group: string };
  readonly payload: Buffer;
}

/** What became of a message: with the ids of those that it did not reach. */
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
  /** The connection is lost and is dialled again, unless `final`. */
  | { readonly type: "disconnected"; readonly reason: CloseReason; readonly final: boolean }
  /**
   * Back, under another id: whatever others sent to `previousId`, to all or to groups in between (epoch ms) was
   * missed, and presence too. Groups were joined again.
   */
  | {
      readonly type: "reconnected";
      readonly id: number;
      readonly previousId: number;
      readonly missedFromMs: number;
      readonly missedUntilMs: number;
    }
  /**
   * The hub could not keep up its link with another hub: whatever clients of that one sent in between (epoch ms) may
   * be missing. The connection goes on.
   */
  | {
      readonly type: "gap";
      /** Name of the other hub. */
      readonly hub: string;
      readonly missedFromMs: number;
      readonly missedUntilMs: number;
    }
  /** Messages that were let go because nobody read them. */
  | { readonly type: "dropped"; readonly messages: number };
