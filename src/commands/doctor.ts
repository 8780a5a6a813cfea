import { BaseCommand } from "../cli/base-command.js";
import type { Colour } from "../cli/colour.js";
import { diagnose, type Finding } from "../cli/diagnosis.js";
import { findFacts } from "../cli/find-facts.js";
import { flagList } from "../cli/flag-list.js";
import { durationFlag } from "../cli/flags.js";
import { MDNS_INTERFACE_FLAG } from "../cli/mdns-flag.js";
import { onInterrupt } from "../cli/signals.js";
import { shown } from "../cli/text.js";

const COLOURS: Readonly<Record<Finding["verdict"], Colour>> = {
  ok: "green",
  warning: "yellow",
  problem: "red",
};
/** Somebody cannot be connected to, or will not stay so. */
const EXIT_CODE = 3;

export default class Doctor extends BaseCommand<typeof Doctor> {
  static override summary = "Look for what keeps nodes from finding each other, and say what to do.";
  static override description =
    "Looks at multicast on every interface, the ports a start takes, who is announced but takes no connection, clocks, cluster names, keys and versions, retention and policies. Exits with 3 when it finds a problem; a warning is none.";
  static override examples = [
    { description: "Why is a node not seen:", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "Only what is to be done:",
      command:
        "<%= config.bin %> <%= command.id %> --json | jq -r '.findings[] | select(.verdict != \"ok\").advice'",
    },
  ];
  static override flags = {
    timeout: durationFlag({
      description: "How long to listen to multicast DNS.",
      default: 1_500,
      defaultHelp: async () => "1.5s",
    }),
    "mdns-interface": MDNS_INTERFACE_FLAG,
  };

  async run(): Promise<void> {
    this.output.survivesBrokenPipes(() => process.exit());
    const { signal, interrupted } = onInterrupt();
    const interfaces = flagList(this.flags["mdns-interface"]);
    const facts = findFacts({ interfaces, listenMs: this.flags.timeout, signal });
    const findings = diagnose(await Promise.race([facts, interrupted]));
    const problems = findings.filter(({ verdict }) => verdict === "problem").length;
    this.output.document({ ok: problems === 0, findings });
    for (const finding of findings) this.show(finding);
    if (problems > 0) this.exit(EXIT_CODE);
  }

  private show({ verdict, text, advice }: Finding): void {
    const line = shown(text, Number.POSITIVE_INFINITY);
    this.output.text(`${this.output.painted(COLOURS[verdict], verdict.padEnd(8))} ${line}`);
    if (advice !== undefined) this.output.text(`         ${shown(advice, Number.POSITIVE_INFINITY)}`);
  }
}
