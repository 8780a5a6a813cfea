// A hub in its own process for one run; reports its resource use ten times a second.
import { asHubcastError } from "../../core/errors.js";
import { tuneHubHeap } from "../../runtime/heap.js";
import { startHub } from "../index.js";
import type { HubLoad } from "./processes.js";

const REPORT_MS = 100;

process.on("disconnect", () => process.exit());
process.on("SIGINT", () => {});

try {
  const hub = await startHub({ port: 0, ...JSON.parse(process.argv[2] ?? "{}") });
  tuneHubHeap(() => hub.stats().memoryBytes);
  process.send!({ type: "ready", port: hub.port });
  setInterval(() => {
    const { user, system } = process.cpuUsage();
    const { active, idle } = performance.eventLoopUtilization();
    const { closed, memoryPeakBytes } = hub.stats();
    const load: HubLoad = {
      cpuUs: user + system,
      activeMs: active,
      wallMs: active + idle,
      rssBytes: process.memoryUsage.rss(),
      rssPeakBytes: process.resourceUsage().maxRSS * 1024,
      budgetPeakBytes: memoryPeakBytes,
      closed,
    };
    process.send!({ type: "load", load }, () => {});
  }, REPORT_MS);
} catch (error) {
  const { code, message } = asHubcastError(error);
  process.send!({ type: "failed", code, message });
}
