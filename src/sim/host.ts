import type { VirtualDisk } from "./disk.js";
import type { SimNode } from "./sim-node.js";

/** A machine on the virtual network: its address, clock and storage outlive the processes that run on it. */
export class Host {
  /** The process that runs here now. */
  node: SimNode | undefined;
  /** Processes that ever ran here. */
  starts = 0;
  /** Hosts of other groups are out of reach. */
  group = 0;
  /** It left for good. */
  gone = false;

  constructor(
    readonly number: number,
    readonly address: string,
    /** Its clock minus true time, ms. */
    readonly skewMs: number,
    readonly durable: boolean,
    readonly disk: VirtualDisk,
    /** Addresses it was told at the start, and those that peers introduced. */
    readonly known: Set<string>,
  ) {}

  know(addresses: readonly string[]): void {
    for (const address of addresses) if (address !== this.address) this.known.add(address);
  }
}
