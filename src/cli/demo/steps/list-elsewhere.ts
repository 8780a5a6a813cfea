import { FIRST_ITEM } from "../items.js";
import type { NodeProcess } from "../node-process.js";
import type { Stage } from "../stage.js";
import type { Step } from "../story.js";

export const listElsewhere: Step = {
  title: "List it from nodes 2 and 3",

  async run(stage: Stage) {
    for (const node of stage.nodes.slice(1)) await listFrom(stage, node);
    return {};
  },
};

/** Lists the first item with the CLI. @throws when the node does not show it */
export async function listFrom(stage: Stage, node: NodeProcess): Promise<void> {
  const { id, raw } = FIRST_ITEM;
  // Oldest first.
  const listed = await stage.run("broadcast", "list", "--limit", "1", "--url", node.url);
  if (!listed.includes(id) || !listed.includes(raw))
    throw new Error(`node ${node.number} does not list ${id}`);
}
