import { formatSize } from "../core/units.js";
import type { Snapshot } from "../hub/simulate/index.js";
import type { Output } from "./output.js";

const LINE_EVERY_MS = 1_000;

interface Shown {
  readonly show: (snapshot: Snapshot) => void;
  readonly end: () => void;
}

/** Shows how far a run is, on stderr: live on a terminal, a line a second elsewhere. @param wanted false: not at all */
export async function showProgress(output: Output, wanted: boolean): Promise<Shown> {
  if (!wanted || output.quiet) return { show: () => {}, end: () => {} };
  if (process.stderr.isTTY && process.env.TERM !== "dumb" && !process.env.CI) {
    const { liveSimulation } = await import("../tui/simulation/index.js");
    return liveSimulation(process.stderr);
  }
  let lastMs = performance.now();
  const show = (snapshot: Snapshot): void => {
    if (performance.now() - lastMs < LINE_EVERY_MS) return;
    lastMs = performance.now();
    output.note(progressLine(snapshot));
  };
  return { show, end: () => {} };
}

function progressLine(snapshot: Snapshot): string {
  const { run, phase, elapsedMs, deliveries, expected, deliveriesPerSecond, bytesPerSecond, p99Ms } =
    snapshot;
  const name = run === "load" ? "" : `${run}: `;
  if (phase !== "running") return `${name}${phase}, ${snapshot.clients} clients`;
  const parts = [
    `${(elapsedMs / 1_000).toFixed(0)} s`,
    `${deliveries} of ${expected} deliveries`,
    `${Math.round(deliveriesPerSecond)}/s`,
    `${formatSize(Math.round(bytesPerSecond))}/s`,
    `p99 ${p99Ms.toFixed(1)} ms`,
    ...(snapshot.hub
      ? [`hub ${formatSize(snapshot.hub.rssBytes)}, loop ${Math.round(snapshot.hub.loop * 100)} %`]
      : []),
    ...(snapshot.closed > 0 ? [`${snapshot.closed} closed by the hub`] : []),
  ];
  return name + parts.join(", ");
}
