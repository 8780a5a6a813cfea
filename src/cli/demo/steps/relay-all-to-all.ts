import { formatDuration } from "../../../core/units.js";
import type { SimulationReport } from "../../../hub/simulate/index.js";
import { faultLine, reportLines } from "../../hub-simulate-report.js";
import type { Child } from "../child.js";
import type { Stage } from "../stage.js";
import type { Step } from "../story.js";

const CLIENTS = 20;

/** A second of load that a small machine keeps up with: at its limit, latencies would only show the queue. */
const LOAD = ["-c", `${CLIENTS}`, "-n", "100", "-i", "10ms", "--size", "1024"];

export const relayAllToAll: Step = {
  title: `Start a hub, and let ${CLIENTS} clients send to all others`,

  async run(stage: Stage) {
    // Nothing has to find it.
    const hub = stage.spawn(["hub", "start", "--port", "0", "--no-mdns", "--json"]);
    const { address } = read<{ address: string }>(await hub.firstLine());
    stage.show(hub.command);
    stage.say(`hub: process ${hub.pid}, ${address}`);
    const clients = stage.spawn(["hub", "simulate", "--addr", address, ...LOAD, "--json"]);
    stage.show(clients.command);
    const report = await reportOf(clients, hub);
    for (const line of summary(report)) stage.say(line);
    if (!report.proof.delivered) throw new Error(faultLine(report.proof));
    stage.show(`kill ${hub.pid}`);
    hub.kill("SIGTERM");
    const { code, how } = await hub.ended;
    if (code !== 0) throw new Error(`no clean end of the hub: ${how}`);
    return { pid: hub.pid, address, ...figuresOf(report) };
  },
};

/** @throws when the clients could not send, or the hub ended before them */
async function reportOf(clients: Child, hub: Child): Promise<SimulationReport> {
  const fallen = hub.ended.then(({ how }) => Promise.reject(new Error(`the hub ended (${how})`)));
  const { stdout, how } = await Promise.race([clients.ended, fallen]);
  // Faulty delivery is an exit code of its own, and a report too.
  if (stdout === "") throw new Error(`${clients.command}: ${how}`);
  return read<SimulationReport>(stdout);
}

/** With --json, a command that fails says so in its document. */
function read<Document>(text: string): Document {
  const document = JSON.parse(text) as Document & { error?: { message: string } };
  if (document.error) throw new Error(document.error.message);
  return document;
}

function summary(report: SimulationReport): readonly string[] {
  const { intervalMs, received, seconds, deliveriesPerSecond, latency } = report;
  const { p50Ms, p99Ms } = latency.intended;
  const rate = `${count(deliveriesPerSecond)} deliveries/s`;
  const pace = `each client had one message to send every ${formatDuration(intervalMs)}`;
  return [
    `${count(received.messages)} deliveries in ${formatDuration(seconds * 1_000)}, ${rate}: ${pace}.`,
    `Latency p50 ${formatDuration(p50Ms)}, p99 ${formatDuration(p99Ms)}: from when a message was due until a client had it.`,
    ...reportLines(report, false),
  ];
}

function figuresOf(report: SimulationReport) {
  const { clients, received, seconds, deliveriesPerSecond, latency, proof } = report;
  const { p50Ms, p99Ms } = latency.intended;
  const { delivered, expected, lost, duplicated, outOfOrder, corrupt } = proof;
  return {
    ...{ clients, deliveries: received.messages, seconds, deliveriesPerSecond, p50Ms, p99Ms },
    ...{ delivered, expected, lost, duplicated, outOfOrder, corrupt },
  };
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en");
}
