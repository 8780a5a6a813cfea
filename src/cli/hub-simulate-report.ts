import { counted } from "../core/text.js";
import { formatDuration, formatSize } from "../core/units.js";
import type { PairReport, Proof, Quantiles, SimulationReport } from "../hub/simulate/index.js";
import { properties, table } from "./table.js";

const WORST_PAIRS = 10;

/** A report for people. @param statistics false: the proof of delivery alone */
export function reportLines(report: SimulationReport, statistics: boolean): string[] {
  return [
    ...(statistics ? [...statisticLines(report), "", ...latencyLines(report), ""] : []),
    ...proofLines(report.proof),
    ...chaosLines(report),
  ];
}

/** What is wrong, in one sentence. */
export function faultLine(proof: Proof): string {
  const { lost, duplicated, outOfOrder, corrupt, unsent, closed } = proof;
  const counts: [number, string][] = [
    [lost, "lost"],
    [duplicated, "duplicated"],
    [outOfOrder, "out of order"],
    [corrupt, "corrupt"],
    [unsent, "never sent"],
    [closed.length, closed.length === 1 ? "client closed by the hub" : "clients closed by the hub"],
  ];
  const said = counts.filter(([count]) => count > 0).map(([count, what]) => `${number(count)} ${what}`);
  return `not everything arrived as it was sent: ${said.join(", ")}`;
}

function statisticLines(report: SimulationReport): readonly string[] {
  const { sent, received, hubProcess, generator, bottleneck } = report;
  const rows: [string, string][] = [
    ["time alive", formatDuration(report.seconds * 1_000)],
    [
      "clients",
      `${report.clients}, ${report.messages} messages of ${formatSize(report.size)} each, ${pace(report)}`,
    ],
    ["sent", `${number(sent.messages)} messages, ${formatSize(sent.bytes)}`],
    ["received", `${number(received.messages)} messages, ${formatSize(received.bytes)}`],
    [
      "average",
      `a client sent ${number(sent.messagesPerClient)} (${formatSize(Math.round(sent.bytesPerClient))}), received ${number(received.messagesPerClient)} (${formatSize(Math.round(received.bytesPerClient))})`,
    ],
    [
      "rate",
      `${number(report.deliveriesPerSecond)} deliveries/s, ${megabytes(report.payloadBytesPerSecond)} MB/s`,
    ],
  ];
  rows.push(["longest pause", `${milliseconds(report.pauseMaxMs)} ms in which a client could not write`]);
  if (hubProcess) {
    const { cpuSeconds, cpuUsPerDelivery, memoryPeakBytes } = hubProcess;
    const cost = `${cpuSeconds.toFixed(2)} s of processor, ${cpuUsPerDelivery.toFixed(3)} us a delivery`;
    rows.push(["hub", `${cost}, memory ${formatSize(memoryPeakBytes)} at most`]);
  }
  const workers = generator.workers.length;
  rows.push([
    "generator",
    `${generator.cpuSeconds.toFixed(2)} s of processor in ${counted(workers, "worker")}`,
  ]);
  rows.push(["bottleneck", `${bottleneck.bottleneck}: ${bottleneck.why}`]);
  return properties(rows);
}

function pace({ intervalMs }: SimulationReport): string {
  return intervalMs === 0 ? "as fast as it goes" : `one every ${formatDuration(intervalMs)}`;
}

function latencyLines({ latency, lateness }: SimulationReport): readonly string[] {
  const row = (name: string, { p50Ms, p90Ms, p99Ms, p999Ms, maxMs }: Quantiles): string[] => [
    name,
    ...[p50Ms, p90Ms, p99Ms, p999Ms, maxMs].map(milliseconds),
  ];
  const rows = lateness
    ? [
        row("from when it was due", latency.intended),
        row("from when it was written", latency.actual),
        row("written late by", lateness),
      ]
    : [row("from when it was written", latency.actual)];
  return table(["latency in ms", "p50", "p90", "p99", "p99.9", "max"], rows);
}

function proofLines(proof: Proof): string[] {
  const { expected, pairs, delivered } = proof;
  if (delivered) {
    return [
      `delivered: all ${number(expected)} messages of ${number(pairs)} pairs arrived once, in order, unchanged`,
    ];
  }
  if (proof.faulty.length === 0) return [];
  const cells = ({ from, to, lost, duplicated, outOfOrder, corrupt }: PairReport): string[] => [
    from === undefined ? "?" : String(from),
    String(to),
    ...[lost, duplicated, outOfOrder, corrupt].map(number),
  ];
  const head = ["from client", "to client", "lost", "duplicated", "out of order", "corrupt"];
  const left = proof.faulty.length + proof.faultyLeftOff - WORST_PAIRS;
  return [
    `the worst of ${number(proof.faulty.length + proof.faultyLeftOff)} faulty pairs:`,
    ...table(head, proof.faulty.slice(0, WORST_PAIRS).map(cells)),
    ...(left > 0 ? [`and ${number(left)} more: --json lists them`] : []),
  ];
}

function chaosLines({ chaos, hubProcess }: SimulationReport): string[] {
  if (!chaos) return [];
  const { healthy, chaotic, p99MsWithout, p99MsWith, score } = chaos;
  const closed = Object.entries(hubProcess?.closed ?? {}).map(([reason, count]) => `${count} ${reason}`);
  return [
    `isolation: p99 of the ${healthy} that behave is ${milliseconds(p99MsWith)} ms beside ${chaotic} that do not, ` +
      `${milliseconds(p99MsWithout)} ms without: ${score.toFixed(2)} times`,
    ...(closed.length > 0 ? [`the hub closed: ${closed.join(", ")}`] : []),
  ];
}

function milliseconds(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2);
}

function megabytes(bytes: number): string {
  const mb = bytes / 1e6;
  return mb >= 100 ? number(mb) : mb.toFixed(1);
}

function number(value: number): string {
  return Math.round(value).toLocaleString("en");
}
