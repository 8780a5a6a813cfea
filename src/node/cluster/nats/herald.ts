/** Everybody says so often that he is there; who missed it before, or lost somebody, meets him then. */
const HERE_MS = 5_000;

/** When a node says that it is there: now and then, and earlier where somebody is to be met. */
export class Herald {
  #timer: NodeJS.Timeout | undefined;
  #atMs = Number.POSITIVE_INFINITY;

  constructor(private readonly say: () => void) {}

  /** Says it now, and from now on. */
  begin(): void {
    this.stop();
    this.say();
    this.within(HERE_MS * (0.75 + Math.random() / 2));
  }

  /** Says it once more by then: once for however many ask. */
  within(ms: number): void {
    const atMs = performance.now() + ms;
    if (this.#atMs <= atMs) return;
    clearTimeout(this.#timer);
    this.#atMs = atMs;
    this.#timer = setTimeout(() => this.begin(), ms);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#atMs = Number.POSITIVE_INFINITY;
  }
}
