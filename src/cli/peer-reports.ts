import type { Broadcast, Peer } from "../node/broadcast.js";
import type { Output } from "./output.js";
import { peerLine } from "./peer-line.js";

const LOOK_EVERY_MS = 250;

/**
 * Says on stderr which peers a node finds and loses. It looks four times a second: a subscription to events would
 * be paid again by every item.
 * @returns stops it
 */
export function reportPeers(node: Broadcast, output: Output): () => void {
  let known = new Map<string, Peer>();
  const timer = setInterval(async () => {
    const peers = await node.peers();
    for (const peer of peers) {
      if (known.get(peer.id)?.state !== peer.state) output.note(peerLine(peer));
    }
    known = new Map(peers.map((peer) => [peer.id, peer]));
  }, LOOK_EVERY_MS);
  return () => clearInterval(timer);
}
