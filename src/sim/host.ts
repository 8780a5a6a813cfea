import type { Replica } from "../node/replica/replica.js";
import type { VirtualDisk } from "./disk.js";

/** A computer on the virtual network: its address, clock and storage outlive the processes that run on it. */
export interface Host {
  readonly number: number;
  readonly address: string;
  /** Its wall clock minus true time, ms. */
  skewMs: number;
  /** Offset of the time that it tells its neighbours, ms: not 0 for a liar. */
  liesMs: number;
  /** When its wall clock was set last, true time. */
  clockSetAtMs: number;
  readonly durable: boolean;
  readonly disk: VirtualDisk;
  /** Addresses that it is told at the start, as by `--peer`, beside that of the seed. */
  readonly known: readonly string[];
  /** Another host's address, which it gives as its own: a liar. */
  readonly claims: string | undefined;
  /** Processes that ever ran here. */
  starts: number;
  /** Only hosts of the same group reach each other. */
  group: number;
  /** Its messages reach only other mute hosts. */
  isMute: boolean;
  /** It left for good. */
  gone: boolean;
}

/** One life of a node on a host, as the rules and the links see it. */
export interface Process {
  readonly id: string;
  readonly host: Host;
  readonly replica: Replica;
  readonly startedAtMs: number;
  /** The node's time, epoch ms. */
  readonly nowMs: number;
  /** The time of its host, which never jumps, epoch ms. */
  readonly machineMs: number;
  readonly alive: boolean;
  readonly frozen: boolean;
}
