import type { Audience, RemotePart } from "../audience.js";
import { FRAME } from "../frame-type.js";
import { Backing } from "../memory.js";
import { Piece } from "../piece.js";
import type { Receipt } from "../receipt.js";
import type { Run } from "../run.js";
import type { Switchboard } from "../switchboard.js";
import { idList, LINK_FRAME, relayHead } from "./link-frame.js";
import type { RemoteClient } from "./remote-hub.js";

const NO_IDS = Buffer.alloc(0);

/**
 * Queues a run for the hubs of its remote receivers, once for each hub, and for its local receivers of version 2:
 * both get the same bytes. What goes to a hub is a head that lists the receivers there, and then the frames as those
 * get them.
 */
export function relayToHubs(board: Switchboard, run: Run, audience: Audience): void {
  const { named, remote, group } = audience;
  const { receipt } = run;
  const pieces = run.named(named.length + remote.length);
  const bodies = receipt === undefined ? pieces : pieces.map(withoutReceipt);
  // `deliver` takes pieces over: one hold for each call.
  const calls = remote.length + (named.length > 0 ? 1 : 0);
  for (const piece of pieces) piece.backing.hold(calls - 1);
  let blockBytes = 0;
  for (const { size } of pieces) blockBytes += size;
  for (const part of remote) {
    const { hub, ids } = part;
    const number = receipt === undefined ? 0 : expectReceipt(board, receipt, part, group);
    if (ids !== undefined) part.wire ??= idList(ids);
    const head = relayHead(linkType(part, run), number, part.wire ?? NO_IDS, blockBytes);
    // Before it is queued: the queue may be given up over it.
    hub.queued(ids, head.length + blockBytes, board.nowMs);
    board.deliver([new Piece(head, 0, new Backing(head.length, board.memory)), ...bodies], [hub.session]);
  }
  if (named.length > 0) board.deliver(pieces, named);
}

/** The first remote receiver that holds up the senders to it. */
export function heldIn(board: Switchboard, audience: Audience): RemoteClient | undefined {
  if (board.remotes.held === 0) return undefined;
  for (const part of audience.remote) {
    for (const client of clientsOf(part, audience.group)) if (client.held) return client;
  }
  return undefined;
}

function clientsOf({ hub, ids }: RemotePart, group: string | undefined): Iterable<RemoteClient> {
  if (ids !== undefined) return ids.flatMap((id) => hub.clients.get(id) ?? []);
  return group === undefined ? hub.clients.values() : (hub.groups.get(group) ?? []);
}

function expectReceipt(board: Switchboard, receipt: Receipt, part: RemotePart, group?: string): number {
  const ids = part.ids ?? [...clientsOf(part, group)].map(({ id }) => id);
  const number = board.remotes.nextReceiptNumber();
  receipt.expect(1);
  part.hub.receipts.set(number, { receipt, ids });
  return number;
}

function linkType({ ids }: RemotePart, run: Run): number {
  if (ids !== undefined) return LINK_FRAME.relay;
  return run.namedType === FRAME.toGroup ? LINK_FRAME.toGroup : LINK_FRAME.toAll;
}

function withoutReceipt({ bytes, frames, backing }: Piece): Piece {
  return new Piece(bytes, frames, backing);
}
