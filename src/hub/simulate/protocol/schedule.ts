/**
 * When each message should go: client after client, spread evenly over the interval, so that a second of load has no
 * lumps of its own. Microseconds from the start of the run.
 */
export class Schedule {
  /** @param intervalUs between two messages of one client; 0: no schedule, as fast as it goes */
  constructor(
    private readonly clients: number,
    private readonly messages: number,
    readonly intervalUs: number,
  ) {}

  get paced(): boolean {
    return this.intervalUs > 0;
  }

  /** @param client index among all clients */
  dueUs(client: number, sequence: number): number {
    return (sequence + client / this.clients) * this.intervalUs;
  }

  /** How many messages of a client should have gone by then. */
  dueCount(client: number, atUs: number): number {
    if (!this.paced) return this.messages;
    const count = Math.floor(atUs / this.intervalUs - client / this.clients) + 1;
    return Math.max(0, Math.min(this.messages, count));
  }
}
