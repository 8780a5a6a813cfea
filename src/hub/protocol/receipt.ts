/** Of one message whose sender wants to know what became of it: filled in as outboxes empty or are dropped. */
export class Receipt {
  reached = 0;
  readonly evicted: number[] = [];
  #pending = 0;
  #sealed = false;

  constructor(
    /** The sender's own number of the message. */
    readonly number: number,
    readonly unknown: number[],
    private readonly complete: (receipt: Receipt) => void,
  ) {}

  expect(receivers: number): void {
    this.#pending += receivers;
  }

  /** All receivers are known; complete at once when there is none. */
  seal(): void {
    this.#sealed = true;
    this.#check();
  }

  /** The last byte of the message left the hub for one receiver. */
  delivered(): void {
    this.reached += 1;
    this.#pending -= 1;
    this.#check();
  }

  /** The connection to that receiver ended before that. */
  lost(id: number): void {
    this.evicted.push(id);
    this.#pending -= 1;
    this.#check();
  }

  /** Another hub says what became of it there, or is not heard of any more. Stands for one that was expected. */
  answered(reached: number, unknown: readonly number[], evicted: readonly number[]): void {
    this.reached += reached;
    this.unknown.push(...unknown);
    this.evicted.push(...evicted);
    this.#pending -= 1;
    this.#check();
  }

  #check(): void {
    if (this.#sealed && this.#pending === 0) this.complete(this);
  }
}
