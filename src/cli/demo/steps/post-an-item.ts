import { formatDuration } from "../../../core/units.js";
import { Arrivals } from "../arrivals.js";
import { FIRST_ITEM } from "../items.js";
import type { Stage } from "../stage.js";
import type { Step } from "../story.js";

export const postAnItem: Step = {
  title: "Post an item to node 1",

  async run(stage: Stage) {
    const [first, second, third] = stage.nodes;
    using atSecond = await Arrivals.of(second!);
    using atThird = await Arrivals.of(third!);
    const { id, raw } = FIRST_ITEM;
    await stage.run("broadcast", "post", raw, "--id", id, "--url", first!.url);
    const [two, three] = await Promise.all([atSecond.arrived(id), atThird.arrived(id)]);
    // Clocks of whole ms, in two processes of one machine.
    const visibleMs = [two, three].map(({ atMs, item }) => atMs - item.timestampMs);
    stage.say(
      `Visible on node 2 after ${formatDuration(visibleMs[0]!)} and on node 3 after ${formatDuration(visibleMs[1]!)}:`,
    );
    stage.say("from the instant that node 1 stamped it until a subscriber of the other node had its event.");
    return { id, visibleMs };
  },
};
