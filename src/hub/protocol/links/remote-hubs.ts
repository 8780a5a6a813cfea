import { writeId } from "../id.js";
import type { RemoteClient, RemoteHub } from "./remote-hub.js";

/** Who is connected to other hubs. Empty where a hub is alone, and then nothing here costs anything. */
export class RemoteHubs {
  readonly hubs = new Set<RemoteHub>();
  /** Clients that are held by their hubs. */
  held = 0;
  /** Gaps that were told to clients of this hub, and clients that were closed because they cannot be told. */
  gapsTold = 0;
  /** Frames of other hubs that made no sense. */
  framesRefused = 0;
  readonly #clients = new Map<number, RemoteClient>();
  #receiptNumber = 0;

  get size(): number {
    return this.#clients.size;
  }

  get(id: number): RemoteClient | undefined {
    return this.#clients.get(id);
  }

  /** A number under which another hub says what became of a message; never used again. */
  nextReceiptNumber(): number {
    this.#receiptNumber += 1;
    return this.#receiptNumber;
  }

  add(client: RemoteClient): void {
    client.hub.clients.set(client.id, client);
    this.#clients.set(client.id, client);
  }

  remove(client: RemoteClient): void {
    for (const group of [...client.groups]) client.hub.leave(client, group);
    client.hub.clients.delete(client.id);
    this.#clients.delete(client.id);
    if (client.held) this.held -= 1;
    client.held = false;
  }

  /** Hub by hub, of each its oldest first. */
  all(): Iterable<RemoteClient> {
    return this.#clients.values();
  }

  membersOf(group: string): number {
    let members = 0;
    for (const hub of this.hubs) members += hub.groups.get(group)?.size ?? 0;
    return members;
  }

  /** Writes the ids of all, u64 each, from `at` on. */
  writeIds(bytes: Buffer, at: number): void {
    let next = at;
    for (const id of this.#clients.keys()) {
      writeId(bytes, id, next);
      next += 8;
    }
  }
}
