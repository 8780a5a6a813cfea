import type { Broadcast } from "./broadcast.js";
import type { Access } from "./http/index.js";
import { Node } from "./node.js";
import { completeOptions, type NodeOptions } from "./options.js";

/** A node that runs in this process. */
export interface StartedNode extends Broadcast {
  readonly id: string;
  /** As it is now: discovery renames a node whose name is taken. */
  readonly name: string;
  /** Of the HTTP API; absent without one. */
  readonly url?: string;
  /** Addresses for `--peer` of another node. */
  readonly peerAddresses: readonly string[];
  /**
   * Trusts these public keys (64 hex digits each) from now on, and no others: what others signed leaves this node's
   * view (`expired` events), what was refused until now is fetched from peers. Needs no restart.
   * @throws invalidOption when one is no key; nothing changes then
   */
  trust(keys: readonly string[]): void;
  /**
   * Takes another certificate and other tokens for the HTTP API from now on; connections that are open stay.
   * @throws invalidOption when one of them cannot be used; nothing changes then
   */
  renew(access: Access): void;
}

/**
 * Starts a node. Resolves when it listens; finding peers goes on from there.
 * @throws invalidOption, portInUse, cannotListen, dataDirInUse and its like; nothing is left open then
 */
export async function startNode(options: NodeOptions = {}): Promise<StartedNode> {
  const complete = completeOptions(options);
  const node = new Node(complete);
  try {
    options.signal?.throwIfAborted();
    await node.open();
    options.signal?.throwIfAborted();
  } catch (error) {
    await node.close();
    throw error;
  }
  const abort = () => void node.close();
  options.signal?.addEventListener("abort", abort, { once: true });
  return node.local;
}
