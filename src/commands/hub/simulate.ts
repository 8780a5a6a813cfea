import { BaseCommand } from "../../cli/base-command.js";
import { readToken } from "../../cli/flag-file.js";
import { defined } from "../../cli/flags.js";
import { hubTls } from "../../cli/hub-command.js";
import {
  faultLine,
  HUB_SIMULATE_FLAGS,
  hubPlaces,
  ReportFile,
  reportLines,
  showProgress,
} from "../../cli/hub-simulation.js";
import { shellWord } from "../../cli/live-status.js";
import { errorDocument } from "../../cli/output.js";
import { onInterrupt } from "../../cli/signals.js";
import { HubcastError } from "../../core/errors.js";

export default class Simulate extends BaseCommand<typeof Simulate> {
  static override summary =
    "Load a hub with clients that send to all others, and prove that everything arrived.";
  static override description =
    "Clients live in processes of their own and start together. Every payload is checked to the last bit: exits with 5 when one was lost, came twice, out of order or changed. Without --addr a hub is started for the run. See docs/hub-simulate.md for how to read the figures.";
  static override examples = [
    { description: "A hub and 100 clients, all to all:", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "As fast as it goes, small messages:",
      command: "<%= config.bin %> <%= command.id %> --size 128 -n 400 -i 0",
    },
    {
      description: "A hub that runs already, with a page of charts:",
      command: "<%= config.bin %> <%= command.id %> --addr 127.0.0.1:9999 --report load.html",
    },
    {
      description: "Two hubs that route to each other, and ask for a token:",
      command:
        "<%= config.bin %> <%= command.id %> --addr 10.0.0.1 --addr 10.0.0.2 --token-file hub.token -i 10ms",
    },
    {
      description: "What the others notice when every tenth client misbehaves:",
      command: "<%= config.bin %> <%= command.id %> --chaos 10% -i 100ms",
    },
  ];
  static override flags = HUB_SIMULATE_FLAGS;

  protected override readonly takesOneDash = true;

  async run(): Promise<void> {
    const { signal } = onInterrupt();
    const { addr, port, stat, report: file, interval, timeout, ...load } = this.flags;
    const address = hubPlaces({ addr, port });
    const token = await readToken(this.flags["token-file"]);
    const tls = await hubTls(this.flags["tls-ca"]);
    const page = file === undefined ? undefined : await ReportFile.create(file);
    const { simulateHub } = await import("../../hub/simulate/index.js");
    const progress = await showProgress(this.output, stat);
    const report = await simulateHub({
      ...defined({ address, token, tls, workers: load.workers }),
      ...{ size: load.size, clients: load.clients, messages: load.messages, chaos: load.chaos },
      ...{ intervalMs: interval, timeoutMs: timeout, signal, onProgress: progress.show },
    }).finally(() => progress.end(signal.aborted));
    const command = ["hubcast", ...process.argv.slice(2).map(shellWord)].join(" ");
    const unwritten = await page?.write(report, command);
    const fault = faultLine(report);
    const failure = fault === undefined ? unwritten : new HubcastError("notDelivered", fault);
    this.output.document({ ...report, ...(failure && { error: errorDocument(failure) }) });
    for (const line of reportLines(report, stat)) this.output.text(line);
    if (file !== undefined && !unwritten) this.output.note(`charts are in ${file}`);
    if (unwritten && failure !== unwritten) this.output.warning(unwritten.message);
    if (failure) this.failAfterDocument(failure);
  }
}
