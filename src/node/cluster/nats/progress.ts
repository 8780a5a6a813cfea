/**
 * How far a log was read. Messages are taken in any order (a signature that takes long to check holds up one of
 * them), but a position says: all up to here.
 */
export class Progress {
  /** When the stream was made: another stream of the same name begins at 1 again. */
  readonly #created: string;
  #taken: number;
  /** Taken, with one before them that is not. */
  readonly #ahead = new Set<number>();
  /** Not taken, or not settled. */
  readonly #open = new Set<number>();

  private constructor(created: string, sequence: number) {
    this.#created = created;
    this.#taken = sequence;
  }

  /** @param position where an earlier run was; from the start of the stream when that was another stream, or none */
  static of(created: string, position: string | undefined): Progress {
    const [stream, sequence] = position?.split("/") ?? [];
    const isKnown = stream === created && /^\d{1,15}$/.test(sequence ?? "");
    return new Progress(created, isKnown ? Number(sequence) : 0);
  }

  /** Of the last message up to which all were taken; 0 before the first. */
  get sequence(): number {
    return this.#taken;
  }

  get position(): string {
    return `${this.#created}/${this.#taken}`;
  }

  isOf(created: string): boolean {
    return this.#created === created;
  }

  /** Messages that were received and are not settled yet. */
  get open(): number {
    return this.#open.size;
  }

  /** @param last the one received before it; what lies between has expired. @returns false when it was received before */
  received(sequence: number, last: number): boolean {
    if (sequence <= this.#taken || this.#ahead.has(sequence) || this.#open.has(sequence)) return false;
    // Behind a long absence that may be a billion of them.
    if (last <= this.#taken) this.#taken = sequence - 1;
    else for (let gone = last + 1; gone < sequence; gone++) this.#ahead.add(gone);
    this.#open.add(sequence);
    return true;
  }

  taken(sequence: number): void {
    if (sequence <= this.#taken) return;
    if (sequence !== this.#taken + 1) {
      this.#ahead.add(sequence);
      return;
    }
    this.#taken = sequence;
    while (this.#ahead.delete(this.#taken + 1)) this.#taken++;
  }

  settled(sequence: number): void {
    this.taken(sequence);
    this.#open.delete(sequence);
  }
}
