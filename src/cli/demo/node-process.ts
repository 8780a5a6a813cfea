import type { Broadcast } from "../../node/broadcast.js";
import { connectToNode } from "../../node/client.js";
import type { Child, Ending } from "./child.js";

/** A node in a process of its own, and a way to ask it. */
export class NodeProcess {
  private constructor(
    private readonly child: Child,
    readonly number: number,
    readonly name: string,
    readonly id: string,
    readonly url: string,
    readonly asked: Broadcast,
  ) {}

  /** Arguments of hubcast that start it. */
  static args(number: number, cluster: string): string[] {
    const place = ["--port", "0", "--p2p-host", "127.0.0.1", "--mdns-interface", "127.0.0.1"];
    // The name is announced to the whole interface, so it says whose it is.
    return ["broadcast", "start", "--name", `${cluster}-${number}`, "--cluster", cluster, ...place, "--json"];
  }

  /** Resolves when the node says that it listens. */
  static async ready(child: Child, number: number): Promise<NodeProcess> {
    const { name, id, url } = JSON.parse(await child.firstLine()) as {
      name: string;
      id: string;
      url: string;
    };
    return new NodeProcess(child, number, name, id, url, await connectToNode(url));
  }

  get pid(): number {
    return this.child.pid!;
  }

  get command(): string {
    return this.child.command;
  }

  /** Sends it a signal, and waits until it has ended. */
  async end(signal: NodeJS.Signals): Promise<Ending> {
    await this.asked.close();
    this.child.kill(signal);
    return await this.child.ended;
  }

  /** Names of the peers in a state, as this node sees it. */
  async peersThatAre(state: "connected" | "lost"): Promise<string[]> {
    const peers = await this.asked.peers();
    return peers.filter((peer) => peer.state === state && peer.name !== "").map(({ name }) => name);
  }
}
