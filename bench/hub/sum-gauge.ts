import type { HubGauge, HubLoad } from "../../src/hub/simulate/processes.js";
import type { Server } from "./server.ts";

/** Several processes as one. */
export class SumGauge implements HubGauge {
  readonly lost: Promise<never>;
  readonly #hubs: readonly Server[];

  constructor(hubs: readonly Server[]) {
    this.#hubs = hubs;
    this.lost = Promise.race(hubs.map(({ gauge }) => gauge.lost));
  }

  get load(): HubLoad {
    const loads = this.#hubs.map(({ gauge }) => gauge.load!);
    const sum = (field: "cpuUs" | "rssBytes" | "rssPeakBytes"): number =>
      loads.reduce((total, one) => total + one[field], 0);
    const [cpuUs, rssBytes, rssPeakBytes] = [sum("cpuUs"), sum("rssBytes"), sum("rssPeakBytes")];
    return { ...loads[0]!, cpuUs, activeMs: cpuUs / 1_000, rssBytes, rssPeakBytes };
  }

  async freshLoad(): Promise<HubLoad> {
    return this.load;
  }
}
