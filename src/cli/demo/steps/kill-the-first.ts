import { formatDuration } from "../../../core/units.js";
import type { NodeProcess } from "../node-process.js";
import type { Stage } from "../stage.js";
import type { Step } from "../story.js";
import { listFrom } from "./list-elsewhere.js";

export const killTheFirst: Step = {
  title: "Kill node 1, which took the posts; the others go on",

  async run(stage: Stage) {
    const first = stage.nodes[0]!;
    stage.release(first);
    stage.show(`kill -9 ${first.pid}`);
    const killedAtMs = Date.now();
    const { how } = await first.end("SIGKILL");
    if (how !== "SIGKILL") throw new Error(`node 1 ended by itself before it was killed: ${how}`);
    const lostMs: number[] = [];
    for (const node of stage.nodes) {
      const lostAtMs = await stage.until(`node ${node.number} shows node 1 as lost`, () =>
        lostAt(node, first),
      );
      lostMs.push(lostAtMs - killedAtMs);
    }
    stage.say(
      `Shown as lost by node 2 after ${formatDuration(lostMs[0]!)}, by node 3 after ${formatDuration(lostMs[1]!)}.`,
    );
    // Peers tell each other what they hold once a second; until then the table shows what they held before the posts.
    for (const node of stage.nodes) {
      await stage.until(`node ${node.number} hears that the others hold the same`, () => agrees(node));
    }
    await stage.run("broadcast", "peers", "--url", stage.nodes[0]!.url);
    for (const node of stage.nodes) await listFrom(stage, node);
    return { killed: first.pid, lostMs };
  },
};

/** @returns when `node` noted that `gone` is lost, epoch ms */
async function lostAt(node: NodeProcess, gone: NodeProcess): Promise<number | undefined> {
  const peers = await node.asked.peers();
  return peers.find(({ id, state }) => id === gone.id && state === "lost")?.sinceMs;
}

async function agrees(node: NodeProcess): Promise<true | undefined> {
  const [{ items }, peers] = await Promise.all([node.asked.status(), node.asked.peers()]);
  const connected = peers.filter(({ state }) => state === "connected");
  const equal = connected.every(
    ({ agreement, summary }) => agreement === "agrees" && summary?.items === items,
  );
  return equal || undefined;
}
