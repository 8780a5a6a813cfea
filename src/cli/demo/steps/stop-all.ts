import type { Stage } from "../stage.js";
import type { Step } from "../story.js";

export const stopAll: Step = {
  title: "Stop the nodes",

  async run(stage: Stage) {
    const nodes = [...stage.nodes];
    stage.show(`kill ${nodes.map(({ pid }) => pid).join(" ")}`);
    for (const node of nodes) stage.release(node);
    const endings = await Promise.all(nodes.map((node) => node.end("SIGTERM")));
    const unclean = nodes.filter((_node, index) => endings[index]!.code !== 0);
    if (unclean.length > 0)
      throw new Error(`no clean end: ${unclean.map(({ number }) => `node ${number}`).join(", ")}`);
    stage.say("Each said goodbye to its peers and ended with exit code 0.");
    return {};
  },
};
