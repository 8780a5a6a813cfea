import type { StartedNode } from "./broadcast.js";
import { LocalBroadcast } from "./local-broadcast.js";
import { Node } from "./node.js";
import type { NodeOptions } from "./option-kinds.js";
import { completeOptions } from "./options.js";

/**
 * Starts a node. Resolves when it listens; finding peers goes on from there.
 * @throws invalidOption, portInUse, cannotListen, dataDirInUse and its like; nothing is left open then
 */
export async function startNode(options: NodeOptions = {}): Promise<StartedNode> {
  const complete = completeOptions(options);
  const node = new Node(complete);
  const local = new LocalBroadcast(node);
  try {
    options.signal?.throwIfAborted();
    await node.open(local.service);
    options.signal?.throwIfAborted();
  } catch (error) {
    await node.close();
    throw error;
  }
  const abort = () => void node.close();
  options.signal?.addEventListener("abort", abort, { once: true });
  return local;
}
