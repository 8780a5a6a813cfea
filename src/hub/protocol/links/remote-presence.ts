import type { CloseReason } from "../close-reason.js";
import { presenceFrame } from "../encode.js";
import type { Switchboard } from "../switchboard.js";
import type { LinkFrame } from "./link-decode.js";
import type { RemoteClient, RemoteHub } from "./remote-hub.js";

type Named = Extract<LinkFrame, { readonly type: "client" }>;

/** Comings and goings on other hubs, told to those clients of this one that want to hear of them. */
export class RemotePresence {
  constructor(private readonly board: Switchboard) {}

  /** A client is there, or its hub says more about it. */
  named(hub: RemoteHub, frame: Named): void {
    const { remotes, roster } = this.board;
    let client = hub.clients.get(frame.id);
    if (client === undefined) {
      // No two hubs have the same ids, unless one of them is no hub of ours.
      if (frame.id === 0 || remotes.get(frame.id) !== undefined || roster.get(frame.id) !== undefined) {
        remotes.framesRefused += 1;
        return;
      }
      client = newClient(hub, frame);
      remotes.add(client);
      roster.epoch += 1;
    }
    client.name = frame.name;
    client.version = frame.version;
    client.stream = hub.stream;
    this.#members(client, frame.groups);
    if (!frame.announced || client.announced) return;
    client.announced = true;
    this.board.tellWatchers(presenceFrame(client.id, client.name));
  }

  gone(hub: RemoteHub, id: number, reason: CloseReason): void {
    const client = hub.clients.get(id);
    if (client === undefined) return;
    const { remotes, roster, waiting } = this.board;
    remotes.remove(client);
    roster.epoch += 1;
    waiting.goOn(client.waiters.splice(0));
    if (client.announced) this.board.tellWatchers(presenceFrame(id, client.name, reason));
  }

  /** Its hub says whether its senders are to wait. */
  held(client: RemoteClient, held: boolean): void {
    if (client.held === held) return;
    client.held = held;
    this.board.remotes.held += held ? 1 : -1;
    if (!held) this.board.waiting.goOn(client.waiters.splice(0));
  }

  #members(client: RemoteClient, groups: readonly string[]): void {
    const before = [...client.groups];
    for (const group of before) if (!groups.includes(group)) client.hub.leave(client, group);
    for (const group of groups) client.hub.join(client, group);
    if (before.length > 0 || groups.length > 0) this.board.roster.epoch += 1;
  }
}

function newClient(hub: RemoteHub, { id, version }: Named): RemoteClient {
  return {
    id,
    hub,
    version,
    name: "",
    announced: false,
    groups: new Set(),
    held: false,
    waiters: [],
    stream: hub.stream,
  };
}
