// A hub in a process of its own, for the benchmarks. Prints its port; options as one JSON argument.
import { monitorEventLoopDelay } from "node:perf_hooks";

const { startHub } = (await import(
  new URL("../dist/hub/index.js", import.meta.url).href
)) as typeof import("../src/hub/index.js");
const logger = {
  info: () => {},
  warn: (fields: object, message: string) =>
    console.error(message, JSON.stringify({ ...fields, memory: hub.stats().memoryBytes })),
};
const hub = await startHub({ port: 0, logger, ...JSON.parse(process.argv[2] ?? "{}") });
console.log(hub.port);
const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();
process.on("SIGTERM", () => {
  if (process.env.HUB_STATS)
    console.error(JSON.stringify({ ...hub.stats(), turnMaxMs: Math.round(delay.max / 1e6) }));
  process.exit(0);
});
