import type { Replica } from "../node/replica/replica.js";
import type { Frame } from "../node/replica/wire.js";
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

/** Traffic of one host. */
interface HostFigures {
  messages: number;
  bytes: number;
}

/** Counts the traffic of a world. */
export class Figures {
  readonly #sent: HostFigures[] = [];
  /** Attempts to connect, and those to each address. */
  dials = 0;
  readonly dialsTo = new Map<string, number>();
  batches = 0;

  sent(host: Host, frame: Frame, bytes: number): void {
    if (frame.t === "batch") this.batches++;
    this.#sent[host.number] ??= { messages: 0, bytes: 0 };
    const sent = this.#sent[host.number]!;
    sent.messages++;
    sent.bytes += bytes;
  }

  dialled(address: string): void {
    this.dials++;
    this.dialsTo.set(address, (this.dialsTo.get(address) ?? 0) + 1);
  }

  perHost(): readonly HostFigures[] {
    return this.#sent;
  }
}
