import type { PublishKind } from "../../replica/messages.js";

/** Token of the version of what is said over NATS (docs/protocol-nats.md). */
const VERSION = "1";

/**
 * The names of a cluster's stream, bucket and subjects. A cluster's name (a-z, 0-9, -) is a valid token of all of them as it
 * is, so that two clusters never share one. Nothing else that people choose is part of a name.
 */
export class Names {
  /** The stream of items. */
  readonly stream: string;
  /** The key-value bucket of members. */
  readonly bucket: string;
  /** Subjects that the stream keeps: one for each author. */
  readonly items: string;
  readonly #prefix: string;

  constructor(cluster: string) {
    this.stream = `hubcast-nodes-${cluster}`;
    this.bucket = this.stream;
    this.#prefix = `hubcast.nodes.${VERSION}.${cluster}`;
    this.items = `${this.#prefix}.items.*`;
  }

  itemsOf(id: string): string {
    return `${this.#prefix}.items.${id}`;
  }

  /** Subject of one member's messages to all; `*`: of everybody's. */
  published(kind: PublishKind, id: string): string {
    return `${this.#prefix}.${kind}.${id}`;
  }

  /** Subject of messages from one member to another; `*` as the sender: from everybody. */
  to(id: string, from: string): string {
    return `${this.#prefix}.to.${id}.${from}`;
  }
}

/** The last token of a subject: its author. */
export function lastToken(subject: string): string {
  return subject.slice(subject.lastIndexOf(".") + 1);
}

/** Whether a text from elsewhere is an id, and so a token by itself. */
export function isId(text: string): boolean {
  return /^[1-9A-HJ-NP-Za-km-z]{1,64}$/.test(text);
}
