import type { HubAddress } from "../remote/address.js";
import type { HubTls } from "../remote/options.js";
import type { Role } from "./protocol/role.js";

/** What the command tells a worker, in this order. */
export type Order =
  | { readonly type: "open"; readonly share: Share }
  /** All ids of the run, by client index: look whether you see them. */
  | { readonly type: "meet"; readonly ids: readonly number[] }
  /** Send, from that instant on the shared clock. */
  | { readonly type: "go"; readonly startUs: number }
  /** Send no more; make sure that nothing is on its way, and say what came. */
  | { readonly type: "finish" };

/** What one worker does. */
export interface Share {
  /** Of the hubs: client i is on the one at `i % addresses.length`. */
  readonly addresses: readonly HubAddress[];
  /** Clients show it in a hello of version 2; without, they speak version 1. */
  readonly token?: string;
  /** How to talk TLS; without, it is plain TCP. */
  readonly tls?: HubTls;
  /** Indexes of its clients: from `first` to before `end`, of `clients`. */
  readonly first: number;
  readonly end: number;
  readonly clients: number;
  readonly messages: number;
  readonly size: number;
  readonly intervalUs: number;
  /** Of the run: payloads of others do not pass. */
  readonly tag: number;
  /** By client index. In a run for comparison those that are not healthy behave, but send nothing either. */
  readonly roles: readonly Role[];
  readonly chaosOn: boolean;
  /** `different`: each frame of a sender lists its receivers in another order. */
  readonly lists: "same" | "different";
  /** Module that exports `wire`; without, the hub's protocol. */
  readonly wireUrl?: string;
}

/** What a worker says. */
export type Word =
  | { readonly type: "opened"; readonly ids: readonly number[] }
  | { readonly type: "met" }
  | ({ readonly type: "beat" } & Beat)
  | { readonly type: "result"; readonly result: WorkerResult }
  | {
      readonly type: "failed";
      readonly code: string;
      readonly message: string;
      readonly suggestions: readonly string[];
    };

/** Ten times a second: counters since the start, latencies since the last beat. */
export interface Beat {
  readonly sent: number;
  readonly sentBytes: number;
  readonly deliveries: number;
  readonly deliveredBytes: number;
  /** All that its clients should send has gone to the kernel; all that they should receive is here. */
  readonly allSent: boolean;
  readonly allReceived: boolean;
  /** Connections that the hub has closed. */
  readonly closed: number;
  /** Histogram of latencies against the intended send time, in microseconds. */
  readonly latency: { readonly counts: Float64Array; readonly max: number };
  /** Since the start of the run. */
  readonly cpuUs: number;
  readonly activeMs: number;
  readonly wallMs: number;
}

export interface WorkerResult {
  /** Messages that each of its clients has sent. */
  readonly sent: readonly number[];
  /** Per client and sender, the number after the highest that came: `next[client * clients + sender]`. */
  readonly next: Uint32Array;
  readonly faults: readonly {
    readonly sender: number;
    readonly receiver: number;
    readonly skipped: number;
    readonly duplicated: number;
    readonly outOfOrder: number;
    readonly corrupt: number;
  }[];
  /** Indexes of healthy clients whose connection ended. */
  readonly closed: readonly number[];
  readonly intended: { readonly counts: Float64Array; readonly max: number };
  readonly actual: { readonly counts: Float64Array; readonly max: number };
  /** How late messages went, against the schedule. */
  readonly lag: { readonly counts: Float64Array; readonly max: number };
  /** The longest that one of its clients could not write. */
  readonly pauseMaxUs: number;
  /** When the first message went and the last delivery came, on the shared clock. */
  readonly firstSentUs: number;
  readonly lastDeliveryUs: number;
}
