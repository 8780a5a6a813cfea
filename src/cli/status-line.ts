import { shown } from "../core/text.js";

const ERASE = "\r\x1b[2K";

/** The last line of a terminal, always the newest: what else this process writes to its streams goes above it. */
export class StatusLine {
  #text = "";
  readonly #restore: (() => void)[] = [];
  readonly #write: (text: string) => void;

  /** @param terminal where it stands @param others streams that may end on the same terminal */
  constructor(
    private readonly terminal: NodeJS.WriteStream,
    others: readonly NodeJS.WriteStream[],
  ) {
    this.#write = terminal.write.bind(terminal);
    for (const stream of [terminal, ...others]) {
      if (!stream.isTTY) continue;
      const write = stream.write;
      const above = (...args: Parameters<typeof write>) => {
        const hidden = this.#text;
        this.#draw("");
        const took = write.apply(stream, args);
        this.#draw(hidden);
        return took;
      };
      this.#restore.push(() => {
        stream.write = write;
      });
      stream.write = above as typeof write;
    }
  }

  show(text: string): void {
    this.#draw(shown(text, (this.terminal.columns || 80) - 1));
  }

  /** Takes it away. Idempotent. */
  close(): void {
    this.#draw("");
    for (const restore of this.#restore.splice(0)) restore();
  }

  #draw(text: string): void {
    if (text !== "" || this.#text !== "") this.#write(ERASE + text);
    this.#text = text;
  }
}
