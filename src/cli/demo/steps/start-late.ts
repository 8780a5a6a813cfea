import { formatDuration } from "../../../core/units.js";
import type { Stage } from "../stage.js";
import type { Step } from "../story.js";
import { listFrom } from "./list-elsewhere.js";

export const startLate: Step = {
  title: "Start a fourth node, which catches up",

  async run(stage: Stage) {
    const { items } = await stage.nodes[0]!.asked.status();
    const startedAt = performance.now();
    const node = await stage.startNode(4);
    const listeningAt = performance.now();
    stage.show(node.command);
    await stage.until(`node 4 holds all ${items} items`, async () => {
      const status = await node.asked.status();
      return status.items === items && status.peers === 2 ? status : undefined;
    });
    const caughtUpAt = performance.now();
    stage.say(
      `node 4: process ${node.pid}, ${node.url}; it held all ${items} items ${formatDuration(caughtUpAt - listeningAt)} after it listened,`,
    );
    stage.say(`${formatDuration(caughtUpAt - startedAt)} after its process was started.`);
    await listFrom(stage, node);
    return {
      pid: node.pid,
      items,
      listeningMs: Math.round(listeningAt - startedAt),
      caughtUpMs: Math.round(caughtUpAt - startedAt),
    };
  },
};
