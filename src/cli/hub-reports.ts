import { formatSize } from "../core/units.js";
import type { Hub } from "../hub/index.js";
import type { Output } from "./output.js";

/** Says on stderr, once a second, what a hub does. @returns stops it */
export function reportHub(hub: Hub, output: Output): () => void {
  let before = hub.stats();
  const timer = setInterval(() => {
    const now = hub.stats();
    const rate = (field: "messagesIn" | "messagesOut" | "bytesIn" | "bytesOut"): number =>
      now[field] - before[field];
    output.note(
      `${now.clients} clients, in ${rate("messagesIn")}/s (${formatSize(rate("bytesIn"))}/s), ` +
        `out ${rate("messagesOut")}/s (${formatSize(rate("bytesOut"))}/s), memory ${formatSize(now.memoryBytes)}`,
    );
    before = now;
  }, 1_000);
  return () => clearInterval(timer);
}
