import type { StartedNode } from "./broadcast.js";
import type { NodeOptions } from "./option-kinds.js";

export type { StartedNode, Trusted } from "./broadcast.js";
export type { NodeLogger, NodeOptions } from "./option-kinds.js";

/**
 * Starts a broadcast node in this process: it finds its peers by multicast DNS, takes in and hands on items, and
 * keeps the last 24 hours of them. Resolves when it listens.
 * @throws invalidOption, portInUse, cannotListen, dataDirInUse and its like; nothing is left open then
 */
export async function startNode(options: NodeOptions = {}): Promise<StartedNode> {
  // Only a program that starts a node loads its modules.
  const engine = await import("./node.js");
  return engine.startNode(options);
}
