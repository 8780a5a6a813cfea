import { formatSize } from "../core/units.js";
import type { Hub } from "../hub/index.js";

/** What a hub did since it was asked before, as one line. */
export class HubLine {
  #before;
  #atMs = performance.now();

  constructor(private readonly hub: Hub) {
    this.#before = hub.stats();
  }

  line(): string {
    const now = this.hub.stats();
    const seconds = Math.max(0.001, (performance.now() - this.#atMs) / 1_000);
    const rate = (field: "messagesIn" | "messagesOut" | "bytesIn" | "bytesOut"): number =>
      Math.round((now[field] - this.#before[field]) / seconds);
    const line =
      `${now.clients} clients, in ${rate("messagesIn")}/s (${formatSize(rate("bytesIn"))}/s), ` +
      `out ${rate("messagesOut")}/s (${formatSize(rate("bytesOut"))}/s), memory ${formatSize(now.memoryBytes)}`;
    this.#before = now;
    this.#atMs = performance.now();
    return line;
  }
}
