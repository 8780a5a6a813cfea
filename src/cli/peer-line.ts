import type { Peer } from "../node/broadcast.js";
import { shown } from "./text.js";

/** What happened to a peer, for people: `peer kitchen connected (192.168.0.7:4001)`. */
export function peerLine(peer: Peer): string {
  const detail = peer.reason ?? peer.address;
  return shown(`peer ${peer.name} ${peer.state} (${detail})`, Number.POSITIVE_INFINITY);
}
