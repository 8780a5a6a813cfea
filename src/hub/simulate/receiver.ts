import type { Histogram } from "../../core/histogram.js";
import type { DeliverySink } from "./client.js";
import { nowUs } from "./clock.js";
import type { Ledger } from "./protocol/ledger.js";
import type { Tape } from "./protocol/payload.js";
import { PayloadCheck } from "./protocol/payload-check.js";

/** What all receivers of one process count together. */
export interface Tally {
  /** Sound ones, and those of them that came for the first time. */
  deliveries: number;
  distinct: number;
  deliveredBytes: number;
  lastDeliveryUs: number;
  /** Since the last beat, and over the run. */
  readonly recent: Histogram;
  readonly intended: Histogram;
  readonly actual: Histogram;
}

/** The receiving end of one client: checks each payload and books it. */
export class Receiver implements DeliverySink {
  readonly #check: PayloadCheck;
  #pieceBytes = 0;
  /** Read once per chunk: a look at the clock costs 50 ns, and a chunk of 64 KiB may hold 500 deliveries. */
  #chunkUs = 0;

  constructor(
    private readonly ledger: Ledger,
    private readonly tally: Tally,
    tape: Tape,
    tag: number,
  ) {
    this.#check = new PayloadCheck(tape, tag);
  }

  chunkCame(): void {
    this.#chunkUs = nowUs();
  }

  payload(bytes: Buffer, from: number, to: number): void {
    this.#book(this.#check.whole(bytes, from, to), to - from);
  }

  payloadBegins(): void {
    this.#pieceBytes = 0;
    this.#check.begin();
  }

  payloadPiece(bytes: Buffer, from: number, to: number): void {
    this.#pieceBytes += to - from;
    this.#check.piece(bytes, from, to);
  }

  payloadEnds(): void {
    this.#book(this.#check.end(), this.#pieceBytes);
  }

  #book(sound: boolean, bytes: number): void {
    const { tally, ledger } = this;
    const { sender, sequence, intendedUs, actualUs } = this.#check.stamp;
    tally.deliveredBytes += bytes;
    if (!sound) {
      ledger.corrupt(sender);
      return;
    }
    tally.deliveries += 1;
    if (ledger.delivered(sender, sequence)) tally.distinct += 1;
    const atUs = this.#chunkUs;
    tally.lastDeliveryUs = atUs;
    // From recent, intended is filled once a beat.
    tally.recent.record(atUs - intendedUs);
    tally.actual.record(atUs - actualUs);
  }
}
