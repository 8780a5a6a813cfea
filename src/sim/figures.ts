import type { Frame } from "../node/replica/wire.js";
import type { Host } from "./host.js";

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
