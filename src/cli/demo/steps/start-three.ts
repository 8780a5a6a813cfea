import { formatDuration } from "../../../core/units.js";
import type { NodeProcess } from "../node-process.js";
import type { Stage } from "../stage.js";
import type { Step } from "../story.js";

const NODE_COUNT = 3;

export const startThree: Step = {
  title: "Start three nodes, and let them find each other by multicast DNS",

  async run(stage: Stage) {
    const startedAtMs = Date.now();
    const numbers = Array.from({ length: NODE_COUNT }, (_, index) => index + 1);
    // All at once, as after a power cut; no node is told of another.
    const nodes = await Promise.all(numbers.map((number) => stage.startNode(number)));
    const listeningMs = Date.now() - startedAtMs;
    stage.nodes.sort((one, other) => one.number - other.number);
    for (const node of nodes) stage.show(node.command);
    const connectedAtMs = await stage.until("every node is connected to both others", () =>
      allConnected(nodes),
    );
    const connectedMs = connectedAtMs - startedAtMs;
    for (const node of nodes) {
      const peers = (await node.peersThatAre("connected")).sort();
      stage.say(`node ${node.number}: process ${node.pid}, ${node.url}, connected to ${peers.join(" and ")}`);
    }
    stage.say(
      `${formatDuration(connectedMs)} after the three processes were started, each was connected to both others.`,
    );
    return { nodes: nodes.map(({ name, pid, url }) => ({ name, pid, url })), listeningMs, connectedMs };
  },
};

/** @returns when the last connection came up, as the nodes have noted it; epoch ms */
async function allConnected(nodes: readonly NodeProcess[]): Promise<number | undefined> {
  const lists = await Promise.all(nodes.map((node) => node.asked.peers()));
  const peers = lists.flat().filter(({ state, name }) => state === "connected" && name !== "");
  if (peers.length < nodes.length * (nodes.length - 1)) return undefined;
  return Math.max(...peers.map(({ sinceMs }) => sinceMs));
}
