import type { LinkEngine, LinkListener, LinkUp } from "../../../src/node/cluster/port.js";

/** Waits for a state, and says what it waited for when that does not come. */
export async function until(what: string, holds: () => boolean, deadlineMs = 10_000): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A link as its engine told of it. */
export interface RecordedLink extends LinkUp {
  readonly frames: Buffer[];
  /** Of `queued`, in order. */
  readonly queued: boolean[];
  /** How often `progressed` was told. */
  progress: number;
  /** Why it is down; absent while it is up. */
  reason?: string;
}

/** A listener that writes down what its engine tells, and checks the rules of the port on the way. */
export class Recorder implements LinkListener {
  readonly links: RecordedLink[] = [];
  readonly failures: { readonly attempt: number; readonly reason: string; readonly self: boolean }[] = [];
  readonly faults: string[] = [];
  cluster!: LinkEngine;
  admits: (peer: string) => boolean = () => true;
  onFrame: ((link: RecordedLink, frame: Buffer) => void) | undefined;
  #inside = false;

  /** The links that are up. */
  get up(): readonly RecordedLink[] {
    return this.links.filter(({ reason }) => reason === undefined);
  }

  /** The link to that node that is up. */
  to({ cluster }: Recorder): RecordedLink | undefined {
    return this.up.find(({ peer }) => peer === cluster.id);
  }

  linkUp(link: LinkUp): void {
    this.#told(() => {
      if (this.links.some((other) => other.link === link.link)) this.faults.push("a link is up twice");
      this.links.push({ ...link, frames: [], queued: [], progress: 0 });
    });
  }

  dialFailed(attempt: number, reason: string, self: boolean): void {
    this.#told(() => this.failures.push({ attempt, reason, self }));
  }

  linkDown(link: number, reason: string): void {
    this.#told(() => {
      const down = this.#get(link, "linkDown");
      if (down) down.reason = reason;
      if (reason === "") this.faults.push("a link is down without a reason");
    });
  }

  frame(link: number, bytes: Uint8Array): void {
    this.#told(() => {
      const from = this.#get(link, "a frame");
      const frame = Buffer.from(bytes);
      if (from && this.onFrame) this.onFrame(from, frame);
      else from?.frames.push(frame);
    });
  }

  queued(link: number, isLong: boolean): void {
    this.#told(() => {
      const told = this.#get(link, "queued")?.queued;
      if (told && (told.at(-1) ?? false) === isLong) this.faults.push(`queued ${isLong} twice`);
      told?.push(isLong);
    });
  }

  progressed(link: number): void {
    this.#told(() => {
      const from = this.#get(link, "progress");
      if (from) from.progress++;
    });
  }

  #get(number: number, what: string): RecordedLink | undefined {
    const link = this.up.find(({ link }) => link === number);
    if (!link) this.faults.push(`${what} of link ${number}, which is not up`);
    return link;
  }

  #told(note: () => void): void {
    if (this.#inside) this.faults.push("told from inside a call");
    this.#inside = true;
    try {
      note();
    } finally {
      this.#inside = false;
    }
  }
}
