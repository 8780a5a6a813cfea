import { formatDuration } from "../../../core/units.js";
import { Arrivals } from "../arrivals.js";
import { MORE_ITEMS } from "../items.js";
import type { Stage } from "../stage.js";
import type { Step } from "../story.js";

export const measurePosts: Step = {
  title: `Post ${MORE_ITEMS} more to node 1, one after the other, and measure each`,

  async run(stage: Stage) {
    const [first, second, third] = stage.nodes;
    using atSecond = await Arrivals.of(second!);
    using atThird = await Arrivals.of(third!);
    const visibleMs: number[] = [];
    for (let number = 1; number <= MORE_ITEMS; number++) {
      const id = `measured-${number}`;
      const sentAt = performance.now();
      const posted = first!.asked.post({ id, raw: `item ${number} of ${MORE_ITEMS}` });
      const [two, three] = await Promise.all([atSecond.arrived(id), atThird.arrived(id), posted]);
      visibleMs.push(Math.max(two.at, three.at) - sentAt);
    }
    visibleMs.sort((a, b) => a - b);
    const medianMs = (visibleMs[MORE_ITEMS / 2 - 1]! + visibleMs[MORE_ITEMS / 2]!) / 2;
    const slowestMs = visibleMs.at(-1)!;
    stage.say(
      `Visible on both others: median ${formatDuration(medianMs)}, slowest ${formatDuration(slowestMs)}:`,
    );
    stage.say(
      "from sending the HTTP request to node 1 until subscribers of nodes 2 and 3 both had the event.",
    );
    return { posts: MORE_ITEMS, medianMs: rounded(medianMs), slowestMs: rounded(slowestMs) };
  },
};

function rounded(lengthMs: number): number {
  return Math.round(lengthMs * 100) / 100;
}
