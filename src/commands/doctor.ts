import * as Args from "@oclif/core/args";
import * as Flags from "@oclif/core/flags";
import { BaseCommand } from "../cli/base-command.js";
import { diagnose, type Finding } from "../cli/diagnosis.js";
import { findFacts, probeAddress } from "../cli/find-facts.js";
import { durationFlag, flagList, MDNS_INTERFACE_FLAG } from "../cli/flags.js";
import { type Colour, painted } from "../cli/output.js";
import { HubcastError } from "../core/errors.js";

const COLOURS: Readonly<Record<Finding["verdict"], Colour>> = {
  ok: "green",
  warning: "yellow",
  problem: "red",
};
/** Some node or hub cannot be connected to, or will not stay so. */
const EXIT_CODE = 3;

export default class Doctor extends BaseCommand<typeof Doctor> {
  static override summary = "Look for what keeps nodes from finding each other, and say what to do.";
  static override description =
    "Looks at multicast on every interface, the ports a start takes, who is announced but takes no connection, clocks, cluster names, keys and versions, retention and policies. Exits with 3 when it finds a problem; a warning is none.";
  static override examples = [
    { description: "Why is a node not seen:", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "Why does that one not answer:",
      command: "<%= config.bin %> <%= command.id %> 192.168.7.2:8080",
    },
    {
      description: "Only what is to be done:",
      command:
        "<%= config.bin %> <%= command.id %> --json | jq -r '.findings[]|select(.verdict!=\"ok\").advice'",
    },
  ];
  static override args = {
    address: Args.string({
      description: "Look at this address alone: what listens there, or why nothing can be reached.",
      name: "HOST:PORT",
    }),
  };
  static override flags = {
    url: Flags.string({ description: "The same, as the URL of a node.", helpValue: "URL" }),
    timeout: durationFlag({
      description: "How long to listen to multicast DNS.",
      default: 1_500,
      defaultHelp: async () => "1.5s",
    }),
    "mdns-interface": MDNS_INTERFACE_FLAG,
  };

  protected override get outlivesReader(): boolean {
    return true;
  }

  async run(): Promise<void> {
    const findings = await this.untilInterrupted((signal) => this.look(signal));
    const problems = findings.filter(({ verdict }) => verdict === "problem").length;
    this.output.document({ ok: problems === 0, findings });
    for (const finding of findings) this.show(finding);
    if (problems > 0) this.exit(EXIT_CODE);
  }

  private async look(signal: AbortSignal): Promise<readonly Finding[]> {
    if (this.args.address !== undefined && this.flags.url !== undefined) {
      throw new HubcastError("usage", "HOST:PORT and --url were both given", {
        suggestions: ["Give one of them."],
      });
    }
    const address = this.args.address ?? this.flags.url;
    if (address !== undefined) return await probeAddress(address, signal);
    const interfaces = flagList(this.flags["mdns-interface"]);
    return diagnose(await findFacts({ interfaces, listenMs: this.flags.timeout, signal }));
  }

  private show({ verdict, text, advice }: Finding): void {
    this.output.text([painted(COLOURS[verdict], verdict.padEnd(8)), ` ${text}`]);
    if (advice !== undefined) this.output.text(`         ${advice}`);
  }
}
