import * as Flags from "@oclif/core/flags";
import {
  type Agreement,
  agreementLines,
  agreementOf,
  disagreementOf,
  type PluginAnswer,
  pluginAnswer,
  pluginFailure,
} from "../../cli/agreement.js";
import { ClientCommand, NODE_URL_FLAGS } from "../../cli/client-command.js";
import { asFailure, isExit } from "../../cli/failure.js";
import { durationFlag } from "../../cli/flags.js";
import { errorDocument, Output } from "../../cli/output.js";
import { HubcastError } from "../../core/errors.js";
import type { Broadcast } from "../../node/broadcast.js";

const LOOK_EVERY_MS = 200;

export default class Check extends ClientCommand<typeof Check> {
  static override summary = "Check that all nodes hold the same set; exit code 6 if not.";
  static override description =
    "Asks one node, which knows what its peers hold, and why it is degraded, if it is: retentions, policies, versions or cluster keys that differ, a second process with its identity, no peer, a clock, a disk. Items posted in the last 2 s are on their way and count as no difference. A node that was lost counts as one that may differ, until one of its name is back on its machine, or it is forgotten (after the retention, 10 min at least); one that said goodbye does not count.";
  static override examples = [
    { description: "Do all agree now?", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "Wait for it, in a script:",
      command: "<%= config.bin %> <%= command.id %> --timeout 10s --quiet",
    },
    {
      description: "For Nagios, Icinga and their like: exit codes 0 to 3, and performance data:",
      command: "<%= config.bin %> <%= command.id %> --format nagios --url http://127.0.0.1:8080",
    },
    {
      description: "Names of those that do not agree:",
      command:
        "<%= config.bin %> <%= command.id %> --json | jq -r '.peers[]|select(.verdict!=\"agrees\").name'",
    },
  ];
  static override flags = {
    timeout: durationFlag({ description: "Wait for agreement so long; without it: one look.", default: 0 }),
    format: Flags.string({
      description:
        "Answer as a monitoring plugin: one line with performance data, more below it, and the exit codes 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.",
      options: ["nagios"],
      exclusive: ["json"],
    }),
    ...NODE_URL_FLAGS,
  };

  protected override get outlivesReader(): boolean {
    return true;
  }

  protected async ask(node: Broadcast, signal: AbortSignal): Promise<void> {
    const beganMs = performance.now();
    const agreement = await this.lookUntilAgreed(node, signal);
    if (this.flags.format === "nagios")
      return this.answer(pluginAnswer(agreement, performance.now() - beganMs, Date.now()));
    const failure = agreement.agreed ? undefined : failureOf(agreement, this.flags.timeout);
    // One document, also when they disagree: who differs is in it.
    this.output.document({ ...agreement, ...(failure && { error: errorDocument(failure) }) });
    for (const line of agreementLines(agreement, Date.now())) this.output.text(line);
    if (agreement.membersEstimated !== undefined)
      this.output.note(
        `compared with ${agreement.peers.length} members, a sample of about ${agreement.membersEstimated}`,
      );
    if (agreement.alone && agreement.agreed) this.output.note("it has no peers: nothing to compare");
    if (failure) this.failAfterDocument(failure);
  }

  /** A check for monitoring ends with the exit codes of monitoring, also where the command line is wrong. */
  override async catch(error: unknown): Promise<never> {
    const isNagios = /(^| )--format[ =]nagios( |$)/.test(this.argv.join(" "));
    if (!isNagios || isExit(error)) throw error;
    this.output ??= new Output({ json: false, quiet: true, verbose: false });
    return this.answer(
      pluginFailure(asFailure(error, ["broadcast", "check", ...this.argv], ["broadcast:check"])),
    );
  }

  private answer({ lines, exitCode }: PluginAnswer): never {
    for (const line of lines) this.output.text(line);
    return this.exit(exitCode);
  }

  private async lookUntilAgreed(node: Broadcast, signal: AbortSignal): Promise<Agreement> {
    const endMs = performance.now() + this.flags.timeout;
    let said = "";
    for (;;) {
      const agreement = agreementOf(await node.status(), await node.peers({ fresh: true }));
      const leftMs = endMs - performance.now();
      if (agreement.agreed || leftMs <= 0 || signal.aborted) return agreement;
      const news = disagreementOf(agreement);
      if (news !== said) this.output.note(`waiting: ${news}`);
      said = news;
      await new Promise((resolve) => setTimeout(resolve, Math.min(LOOK_EVERY_MS, leftMs)));
    }
  }
}

function failureOf(agreement: Agreement, timeoutMs: number): HubcastError {
  return new HubcastError("disagreement", disagreementOf(agreement), {
    suggestions: [
      ...new Set(agreement.details.map(({ advice }) => advice)),
      ...(timeoutMs === 0 && agreement.details.length === 0 ? ["Give them time: --timeout 10s"] : []),
      "See hubcast broadcast peers for their addresses and connections.",
    ],
  });
}
