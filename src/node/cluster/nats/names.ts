/** Token of the version of what is said over NATS (docs/protocol-nats.md). */
const VERSION = "1";

/**
 * What a cluster's stream and subjects are called. A cluster's name (a-z, 0-9, -) is a valid token of both as it is,
 * so that two clusters never share one.
 */
export class Names {
  /** The stream of items. */
  readonly stream: string;
  /** Subjects that the stream keeps: one for each author. */
  readonly items: string;
  /** Who is there says so on these. */
  readonly here: string;
  readonly #prefix: string;

  constructor(cluster: string) {
    this.stream = `hubcast-nodes-${cluster}`;
    this.#prefix = `hubcast.nodes.${VERSION}.${cluster}`;
    this.items = `${this.#prefix}.items.*`;
    this.here = `${this.#prefix}.here.*`;
  }

  itemsOf(id: string): string {
    return `${this.#prefix}.items.${id}`;
  }

  hereOf(session: string): string {
    return `${this.#prefix}.here.${session}`;
  }

  /** What one session says to another; `*` as the sender: what anybody says to it. */
  to(session: string, from: string): string {
    return `${this.#prefix}.to.${session}.${from}`;
  }
}

/** The last token of a subject: its author, or the session that speaks. */
export function lastToken(subject: string): string {
  return subject.slice(subject.lastIndexOf(".") + 1);
}
