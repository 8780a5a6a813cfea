import type { IdSource } from "./ids.js";
import { HUB_LIMITS } from "./limits.js";

export type SlowConsumer = "evict" | "wait";

/** What the machine can be told; docs/protocol-hub.md and the flags of `hub start` explain each. */
export interface MachineOptions {
  readonly name: string;
  readonly slowConsumer: SlowConsumer;
  readonly outboxMax: number;
  readonly stallTimeoutMs: number;
  readonly memoryMax: number;
  readonly clientsMax: number;
  readonly handshakeTimeoutMs: number;
  readonly frameTimeoutMs: number;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** Whether that is the token; absent when none is needed. */
  readonly tokenMatches?: (token: Buffer) => boolean;
  /** Where ids come from; absent: 1, 2, 3 ... */
  readonly ids?: IdSource;
}

export const MACHINE_DEFAULTS: MachineOptions = {
  name: "hubcast",
  slowConsumer: "evict",
  outboxMax: HUB_LIMITS.outboxMax,
  stallTimeoutMs: HUB_LIMITS.stallTimeoutMs,
  memoryMax: HUB_LIMITS.memoryMax,
  clientsMax: HUB_LIMITS.clientsMax,
  handshakeTimeoutMs: HUB_LIMITS.handshakeTimeoutMs,
  frameTimeoutMs: HUB_LIMITS.frameTimeoutMs,
  pingIntervalMs: HUB_LIMITS.pingIntervalMs,
  pingTimeoutMs: HUB_LIMITS.pingTimeoutMs,
};
