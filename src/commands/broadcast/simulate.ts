import { randomInt } from "node:crypto";
import * as Flags from "@oclif/core/flags";
import { BaseCommand } from "../../cli/base-command.js";
import { properties, table } from "../../cli/output.js";
import {
  GROWTH_HEAD,
  growthRow,
  needsLargerHeap,
  reportPairs,
  rerunWithHeap,
  runSimulation,
  SIMULATE_FLAGS,
  type SimulationRun,
  simulationOptions,
} from "../../cli/simulation.js";
import type { SimulationOptions } from "../../sim/index.js";

const GROWTH_NODES = [10, 30, 100, 300, 1_000, 3_000, 10_000];
const GROWTH_ITEMS = 100;
/** Memory of a simulated node, and of an item that one node holds: measured; of a member that one knows: an estimate. */
const NODE_BYTES = 120_000;
const HOLDING_BYTES = 500;
const MEMBER_BYTES = 400;

export default class Simulate extends BaseCommand<typeof Simulate> {
  static override summary = "Run many nodes in a virtual network, with faults, and check every rule.";
  static override description =
    "The nodes are the real ones; network, clocks and disks are virtual, so a world of seconds to minutes takes less, and the same seed gives the same world. First things go wrong, and what must always hold is checked; then they heal, and all nodes must agree within a minute. Ends with 6 when they do not, with 7 when a rule was broken, and says which command shows it again.";
  static override examples = [
    {
      description: "Loss, a partition into three, and nodes that crash:",
      command:
        "<%= config.bin %> <%= command.id %> --nodes 50 --items 1000 --loss 0.1 --partition 3 --churn 0.2 --seed 7",
    },
    {
      description: "How cost grows from 10 to 10,000 nodes:",
      command: "<%= config.bin %> <%= command.id %> --grow",
    },
  ];
  static override flags = {
    ...SIMULATE_FLAGS,
    grow: Flags.boolean({
      description: "Run worlds of 10 to 10,000 nodes and show what each costs.",
    }),
  };

  protected override get outlivesReader(): boolean {
    return true;
  }

  async run(): Promise<void> {
    const options = simulationOptions(this.flags, this.flags.seed ?? randomInt(2 ** 32));
    const heapBytes = heapBytesOf(options);
    if (!this.flags.grow && needsLargerHeap(heapBytes)) {
      process.exitCode = await rerunWithHeap(heapBytes);
      return;
    }
    await this.untilInterrupted(() => (this.flags.grow ? this.grow(options) : this.once(options)));
  }

  private async once(options: SimulationOptions): Promise<void> {
    const run = await runSimulation(options, this.output);
    this.output.document(documentOf(run));
    for (const line of properties(reportPairs(run))) this.output.text(line);
  }

  private async grow(options: SimulationOptions): Promise<void> {
    const runs: SimulationRun[] = [];
    const items = this.flags.items ?? GROWTH_ITEMS;
    for (const nodes of GROWTH_NODES) {
      const run = await runSimulation({ ...options, nodes, items }, this.output);
      runs.push(run);
      this.output.note(`${nodes} nodes agree`);
    }
    this.output.document({ runs: runs.map(documentOf) });
    for (const line of table(GROWTH_HEAD, runs.map(growthRow))) this.output.text(line);
  }
}

function documentOf({ report, tookMs, cpuMs, memoryBytes }: SimulationRun): object {
  return { ...report, tookMs: Math.round(tookMs), cpuMs, memoryBytes };
}

function heapBytesOf({ nodes, items, rosterMembersMax }: SimulationOptions): number {
  const members = Math.min(nodes, rosterMembersMax);
  return nodes * (NODE_BYTES + items * HOLDING_BYTES + members * MEMBER_BYTES);
}
