import { lstat, open, writeFile } from "node:fs/promises";
import * as Flags from "@oclif/core/flags";
import { HubcastError } from "../core/errors.js";
import { counted } from "../core/text.js";
import { formatCount, formatDuration, formatMs, formatSize, parseDuration } from "../core/units.js";
import { SIMULATE_INTERVAL_MS_MAX, SIMULATE_KINDS } from "../hub/option-kinds.js";
import type { PairReport, Proof, Quantiles, SimulationReport, Snapshot } from "../hub/simulate/index.js";
import { startStep } from "../runtime/start-step.js";
import { countFlag, durationFlag, inRange, partFlag, portFlag, ranged, sizeFlag } from "./flags.js";
import { HUB_TOKEN_FLAG, TLS_CA_FLAG } from "./hub-command.js";
import { type Output, properties, table } from "./output.js";

const WORST_PAIRS = 10;

/** A report for people. @param statistics false: the proof of delivery alone */
export function reportLines(report: SimulationReport, statistics: boolean): string[] {
  return [
    ...(statistics ? [...statisticLines(report), "", ...latencyLines(report), ""] : []),
    ...proofLines(report.proof),
    ...chaosLines(report),
  ];
}

/** The faults of the run, or of the one before it in which all behave, in one sentence; undefined when there are none. */
export function faultLine({ proof, chaos }: SimulationReport): string | undefined {
  if (!proof.delivered) return faultsOf(proof);
  return chaos && !chaos.proofWithout.delivered
    ? `while all behaved, ${faultsOf(chaos.proofWithout)}`
    : undefined;
}

function faultsOf(proof: Proof): string {
  const { lost, duplicated, outOfOrder, corrupt, unsent, closed } = proof;
  const counts: [number, string][] = [
    [lost, "lost"],
    [duplicated, "duplicated"],
    [outOfOrder, "out of order"],
    [corrupt, "corrupt"],
    [unsent, "never sent"],
    [closed.length, closed.length === 1 ? "client closed by the hub" : "clients closed by the hub"],
  ];
  const said = counts.filter(([count]) => count > 0).map(([count, what]) => `${formatCount(count)} ${what}`);
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
    ["sent", `${formatCount(sent.messages)} messages, ${formatSize(sent.bytes)}`],
    ["received", `${formatCount(received.messages)} messages, ${formatSize(received.bytes)}`],
    [
      "average",
      `a client sent ${formatCount(sent.messagesPerClient)} (${formatSize(Math.round(sent.bytesPerClient))}), received ${formatCount(received.messagesPerClient)} (${formatSize(Math.round(received.bytesPerClient))})`,
    ],
    [
      "rate",
      `${formatCount(report.deliveriesPerSecond)} deliveries/s, ${megabytes(report.payloadBytesPerSecond)} MB/s`,
    ],
  ];
  const { schedule } = report;
  if (schedule)
    rows.push([
      "asked for",
      `${formatCount(schedule.askedPerSecond)} deliveries/s, of which ${percent(schedule.kept)} were done`,
    ]);
  rows.push(["longest pause", `${formatMs(report.pauseMaxMs)} ms in which a client could not write`]);
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
  rows.push(["bottleneck", `${BOTTLENECK[bottleneck.bottleneck]}: ${bottleneck.why}`]);
  return properties(rows);
}

const BOTTLENECK = {
  hub: "the hub",
  generator: "the generator",
  neither: "neither the hub nor the generator",
} as const;

function pace({ intervalMs }: SimulationReport): string {
  return intervalMs === 0 ? "as fast as it goes" : `one every ${formatDuration(intervalMs)}`;
}

function latencyLines({ latency, lateness }: SimulationReport): readonly string[] {
  const row = (name: string, { p50Ms, p90Ms, p99Ms, p999Ms, maxMs }: Quantiles): string[] => [
    name,
    ...[p50Ms, p90Ms, p99Ms, p999Ms, maxMs].map(formatMs),
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
      `delivered: all ${formatCount(expected)} messages of ${formatCount(pairs)} pairs arrived once, in order, unchanged`,
    ];
  }
  if (proof.faulty.length === 0) return [];
  const cells = ({ from, to, lost, duplicated, outOfOrder, corrupt }: PairReport): string[] => [
    from === undefined ? "?" : String(from),
    String(to),
    ...[lost, duplicated, outOfOrder, corrupt].map(formatCount),
  ];
  const head = ["from client", "to client", "lost", "duplicated", "out of order", "corrupt"];
  const left = proof.faulty.length + proof.faultyLeftOff - WORST_PAIRS;
  return [
    `the worst of ${formatCount(proof.faulty.length + proof.faultyLeftOff)} faulty pairs:`,
    ...table(head, proof.faulty.slice(0, WORST_PAIRS).map(cells)),
    ...(left > 0 ? [`and ${formatCount(left)} more: --json lists them`] : []),
  ];
}

function chaosLines({ chaos, hubProcess }: SimulationReport): string[] {
  if (!chaos) return [];
  const { healthy, chaotic, p99MsWithout, p99MsWith, score, proofWithout } = chaos;
  const closed = Object.entries(hubProcess?.closed ?? {}).map(([reason, count]) => `${count} ${reason}`);
  return [
    ...(proofWithout.delivered
      ? []
      : [`while all behaved, ${faultsOf(proofWithout)}`, ...proofLines(proofWithout)]),
    `isolation: p99 of the ${healthy} that behave is ${formatMs(p99MsWith)} ms beside ${chaotic} that do not, ` +
      `${formatMs(p99MsWithout)} ms without: ${score.toFixed(2)} times`,
    ...(closed.length > 0 ? [`the hub closed: ${closed.join(", ")}`] : []),
  ];
}

/** Rounded down: what was missed is not to look kept. */
function percent(share: number): string {
  return `${Math.floor(100 * share)} %`;
}

function megabytes(bytes: number): string {
  const mb = bytes / 1e6;
  return mb >= 100 ? formatCount(mb) : mb.toFixed(1);
}

const LINE_EVERY_MS = 1_000;

interface Shown {
  readonly show: (snapshot: Snapshot) => void;
  /** @param isCut the run was stopped: its last figures stay */
  readonly end: (isCut: boolean) => void;
}

/** Shows how far a run is, on stderr: live on a terminal, a line a second elsewhere. @param wanted false: not at all */
export async function showProgress(output: Output, wanted: boolean): Promise<Shown> {
  if (!wanted || output.quiet) return { show: () => {}, end: () => {} };
  if (process.stderr.isTTY && process.env.TERM !== "dumb" && !process.env.CI) {
    const { showSimulation } = await import("../tui/index.js");
    return await showSimulation(process.stderr);
  }
  let lastMs = performance.now();
  let last: Snapshot | undefined;
  const show = (snapshot: Snapshot): void => {
    last = snapshot;
    if (performance.now() - lastMs < LINE_EVERY_MS) return;
    lastMs = performance.now();
    output.note(progressLine(snapshot));
  };
  return { show, end: (isCut) => isCut && last && output.note(progressLine(last)) };
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

const OPEN_MS_MAX = 10_000;

/** The file that --report names. Tried before the run: a long load must not end in "no such directory". */
export class ReportFile {
  private constructor(private readonly path: string) {}

  /** Keeps the file's content until there is something to write. @throws usage */
  static async create(path: string): Promise<ReportFile> {
    await refuseForeignLink(path);
    try {
      // A pipe without a reader cannot be opened.
      const opened = open(path, "a").then((file) => file.close());
      await startStep(`opening --report ${path}`, opened, { lengthMs: OPEN_MS_MAX });
      return new ReportFile(path);
    } catch (error) {
      throw cannotWrite("usage", path, error);
    }
  }

  /** @param command as it was typed @returns why it cannot be written: the report is printed all the same */
  async write(report: SimulationReport, command: string): Promise<HubcastError | undefined> {
    const { reportPage } = await import("../hub/simulate/index.js");
    try {
      // Another account may have created the link during the run.
      await refuseForeignLink(this.path);
      await writeFile(this.path, reportPage(report, command));
      return undefined;
    } catch (error) {
      return cannotWrite("systemFailed", this.path, error);
    }
  }
}

function cannotWrite(code: "systemFailed" | "usage", path: string, error: unknown): HubcastError {
  if (error instanceof HubcastError) return error;
  return new HubcastError(code, `--report: cannot write ${path}: ${(error as Error).message}`, {
    suggestions: ["Name another place with --report."],
    cause: error,
  });
}

/** A link of another account may lead to a file of this one. @throws usage */
async function refuseForeignLink(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  const { uid } = found ?? {};
  if (!found?.isSymbolicLink() || uid === 0 || uid === process.getuid?.()) return;
  throw new HubcastError("usage", `--report: ${path} is a link that another user has put there`, {
    suggestions: ["Name a place that only you can write to."],
  });
}

/** A duration; a lone number counts milliseconds. */
const intervalFlag = Flags.custom<number>({
  helpValue: "DURATION",
  parse: async (text) => {
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : parseDuration(text);
    return inRange(text, value, { max: SIMULATE_INTERVAL_MS_MAX }, "ms");
  },
});

/** Flags of `hub simulate`. */
export const HUB_SIMULATE_FLAGS = {
  addr: Flags.string({
    description:
      "Hub to load; without it (and --port), one is started for the run. Given several times: hubs that are connected to each other; clients are on them in turn.",
    helpValue: "HOST[:PORT]",
    multiple: true,
    multipleNonGreedy: true,
  }),
  port: portFlag({ description: "Port of the hub to load, when --addr has none." }),
  "token-file": HUB_TOKEN_FLAG,
  "tls-ca": TLS_CA_FLAG,
  size: sizeFlag({ description: "Bytes of a payload, 24 to 1024000.", ...ranged(SIMULATE_KINDS.size) }),
  clients: countFlag({
    description: "Clients; each sends to all others.",
    char: "c",
    aliases: ["ncli"],
    ...ranged(SIMULATE_KINDS.clients),
  }),
  messages: countFlag({
    description: "Messages that each client sends; 0 only connects.",
    char: "n",
    aliases: ["nmex"],
    ...ranged(SIMULATE_KINDS.messages),
  }),
  interval: intervalFlag({
    description: "Between two messages of one client; 0: as fast as it goes. A lone number counts ms.",
    char: "i",
    default: 1,
    defaultHelp: async () => "1ms",
  }),
  stat: Flags.boolean({
    description: "Show progress, and statistics at the end. With --no-stat: the proof of delivery alone.",
    default: true,
    allowNo: true,
  }),
  workers: countFlag({
    description: "Processes that the clients live in; without it, one less than there are processors.",
    min: SIMULATE_KINDS.workers.min,
    max: SIMULATE_KINDS.workers.max,
  }),
  chaos: partFlag({
    description:
      "Let a share of the clients misbehave: slow readers, stallers, half-open ones, and some that cut their connection in a frame. Runs twice, to show what the others notice of it.",
    ...ranged(SIMULATE_KINDS.chaos),
  }),
  report: Flags.string({
    description: "Write a page with charts of throughput and latency.",
    helpValue: "FILE.html",
  }),
  timeout: durationFlag({
    description: "Give up when nothing was sent or received for so long.",
    ...ranged(SIMULATE_KINDS.timeoutMs),
  }),
};

export interface HubPlace {
  readonly addr?: readonly string[] | undefined;
  readonly port?: number | undefined;
}

/** The addresses of the hubs from --addr and --port; undefined when neither is given. @throws usage */
export function hubPlaces({ addr, port }: HubPlace): readonly string[] | undefined {
  if (port === 0) throw new HubcastError("usage", "0 is no port to connect to");
  if (addr === undefined) return port === undefined ? undefined : [`127.0.0.1:${port}`];
  return addr.map((place) => {
    const namesPort = /^\[[^\]]*\]:\d+$|^[^:]*:\d+$/.test(place);
    return namesPort || port === undefined ? place : `${place}:${port}`;
  });
}
