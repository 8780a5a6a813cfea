import { table } from "../../table.js";
import type { Stage } from "../stage.js";
import type { Step } from "../story.js";

export const compareFingerprints: Step = {
  title: "Compare the fingerprints of all running nodes, from one common start on",

  async run(stage: Stage) {
    const since = new Date(stage.sinceMs).toISOString();
    for (const { url } of stage.nodes) stage.show(`curl -s '${url}/v1/status?since=${since}'`);
    const states = await Promise.all(
      stage.nodes.map((node) => node.asked.status({ sinceMs: stage.sinceMs })),
    );
    const rows = states.map(({ name, items, peers, fingerprint }) => [
      name,
      `${items}`,
      `${peers}`,
      fingerprint,
    ]);
    stage.say(table(["node", "items", "peers", "fingerprint"], rows).join("\n"));
    const different = new Set(states.map(({ fingerprint }) => fingerprint));
    if (different.size !== 1) throw new Error(`there are ${different.size} different fingerprints`);
    stage.say("All equal: they hold the same set.");
    return { since, fingerprint: states[0]!.fingerprint, items: states.map(({ items }) => items) };
  },
};
