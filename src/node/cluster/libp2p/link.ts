import type { Connection } from "@libp2p/interface";
import { LIMITS } from "../../../core/limits.js";
import type { FrameStream } from "./frame-stream.js";

/** One connection with a frame stream on it. */
export interface Link {
  readonly peerId: string;
  readonly connection: Connection;
  /** Opened beside another link to the same peer, to ask which of the two should live. */
  readonly spare: boolean;
  /** `greeting` until both have greeted, `joining` until gossip flows, then `up`, in the end `down`. */
  state: "greeting" | "joining" | "up" | "down";
  frames: FrameStream | undefined;
  deadline: NodeJS.Timeout | undefined;
  /** A connection that the peer opened while this link was not settled yet. */
  next: Connection | undefined;
}

/** A link at its beginning. @param late called unless it comes up in time (its `deadline` is cleared then) */
export function newLink(connection: Connection, spare: boolean, late: (reason: string) => void): Link {
  const link: Link = {
    peerId: connection.remotePeer.toString(),
    connection,
    spare,
    state: "greeting",
    frames: undefined,
    deadline: setTimeout(
      () => late(`no ${link.state === "greeting" ? "greeting" : "gossip"} in time`),
      LIMITS.peerHandshakeMsMax,
    ),
    next: undefined,
  };
  return link;
}

/** Connections on which the peer has to open the frame stream, and soon. */
export class AwaitedConnections {
  readonly #timers = new Map<Connection, NodeJS.Timeout>();

  add(connection: Connection): void {
    const giveUp = () => {
      this.#timers.delete(connection);
      connection.abort(new Error("the peer did not open the frame stream"));
    };
    this.#timers.set(connection, setTimeout(giveUp, LIMITS.peerHandshakeMsMax));
  }

  has(peerId: string): boolean {
    return [...this.#timers.keys()].some(({ remotePeer }) => remotePeer.toString() === peerId);
  }

  delete(connection: Connection): void {
    clearTimeout(this.#timers.get(connection));
    this.#timers.delete(connection);
  }

  clear(): void {
    for (const connection of this.#timers.keys()) this.delete(connection);
  }
}
