import type { DashboardOptions } from "./ink/run.js";

export { Collector, type HubPlace, type NodePlace } from "./collect/collector.js";
export { LiveNode } from "./live.js";
export { plainLines } from "./plain.js";
export type { Snapshot } from "./snapshot.js";

/**
 * Shows the dashboard until the user ends it. Only this loads Ink and React.
 * @returns `interrupt` after Ctrl-C
 */
export async function showDashboard(options: DashboardOptions): Promise<"quit" | "interrupt"> {
  // React takes its slow, checking build without it.
  process.env.NODE_ENV ??= "production";
  const { runDashboard } = await import("./ink/run.js");
  return await runDashboard(options);
}
