import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import type { NodeOptions, StartedNode } from "../../../src/node/index.js";
import type { NatsServer, NatsTrio } from "../../fixtures/nats-server.js";
import { Nodes } from "../../fixtures/nodes.js";

/** Nodes that meet at a NATS server, in a cluster of their own. */
export class NatsNodes extends Nodes {
  constructor(private readonly server: NatsServer | NatsTrio) {
    super();
  }

  get stream(): string {
    return `hubcast-nodes-${this.cluster}`;
  }

  override start(options: NodeOptions = {}): Promise<StartedNode> {
    return super.start({ engine: this.server.url, mdns: false, ...options });
  }

  /** A message on any subject. */
  async say(subject: string, words: readonly Uint8Array[]): Promise<void> {
    const connection = await connect({ servers: this.server.url.replace("nats://", "").split(",") });
    for (const bytes of words) connection.publish(subject, bytes);
    await connection.drain();
  }

  /** As an operator does with `nats stream ...`. */
  async manage<Result>(
    act: (jsm: Awaited<ReturnType<typeof jetstreamManager>>) => Promise<Result>,
  ): Promise<Result> {
    const connection = await connect({ servers: this.server.url.replace("nats://", "").split(",") });
    try {
      return await act(await jetstreamManager(connection));
    } finally {
      await connection.close();
    }
  }
}

/** The text of every visible item, sorted. */
export async function textsOf(node: StartedNode): Promise<string[]> {
  const texts: string[] = [];
  for await (const { raw } of node.list()) texts.push(raw);
  return texts.sort();
}
