import * as Args from "@oclif/core/args";
import * as Flags from "@oclif/core/flags";
import { ClientCommand, NODE_URL_FLAGS } from "../../cli/client-command.js";
import { defined, durationFlag } from "../../cli/flags.js";
import { localTime, properties } from "../../cli/output.js";
import { HubcastError } from "../../core/errors.js";
import { LIMITS } from "../../core/limits.js";
import { shown } from "../../core/text.js";
import type { Broadcast, HoldersReceipt, ShownItem } from "../../node/broadcast.js";

export default class Show extends ClientCommand<typeof Show> {
  static override summary = "Show one item, whole.";
  static override description =
    "Prints topic, time, digest, scheme and author of the item that is visible under an id, its rivals (other items posted under that id, hidden behind the one that was stamped first), and its text.";
  static override examples = [
    { description: "An item:", command: "<%= config.bin %> <%= command.id %> notice-1" },
    {
      description: "Its bytes alone, as they were posted:",
      command: "<%= config.bin %> <%= command.id %> notice-1 --raw > notice.txt",
    },
    {
      description: "Who holds it, asked now:",
      command: "<%= config.bin %> <%= command.id %> notice-1 --holders",
    },
  ];
  static override args = {
    id: Args.string({ name: "ID", description: "Id of the item.", required: true, ignoreStdin: true }),
  };
  static override flags = {
    raw: Flags.boolean({ description: "Print the bytes of the item, and nothing else." }),
    holders: Flags.boolean({
      description: "Ask all members whether they hold it: who does, who does not, and who was not reached.",
      exclusive: ["raw"],
    }),
    timeout: durationFlag({
      description: "How long they have; 1s without it.",
      dependsOn: ["holders"],
      min: 1,
      max: LIMITS.receiptTimeoutMsMax,
    }),
    ...NODE_URL_FLAGS,
  };

  protected async ask(node: Broadcast, signal: AbortSignal): Promise<void> {
    const { id } = this.args;
    const { raw, holders, timeout: timeoutMs } = this.flags;
    const item = await node.show(id, { holders, ...defined({ timeoutMs }), signal });
    if (!item) {
      throw new HubcastError("notFound", `no visible item has the id ${JSON.stringify(id)}`, {
        suggestions: ["List what there is: hubcast broadcast list; items expire after the retention."],
      });
    }
    if (this.output.json) return this.output.document(item);
    if (raw) return this.output.bytes(Buffer.from(item.raw));
    for (const line of properties(described(item))) this.output.text(line);
    this.output.text("");
    for (const line of item.raw.split(/\r?\n/)) this.output.text(shown(line, Number.POSITIVE_INFINITY));
  }
}

function described(item: ShownItem): [string, string][] {
  const { id, topic, timestampMs, digest, scheme, author, rivals, receipt } = item;
  return [
    ["id", shown(id, Number.POSITIVE_INFINITY)],
    ["topic", topic === undefined ? "none" : shown(topic, Number.POSITIVE_INFINITY)],
    ["time", localTime(timestampMs)],
    ["digest", digest],
    ["scheme", scheme],
    // The whole public key: it is compared with that of a trust file.
    [
      "author",
      author === undefined ? "not named: the scheme proves integrity alone" : `ed25519 key ${author}`,
    ],
    ...listed(
      "rivals",
      rivals.map(
        (rival) =>
          `${rival.digest}, ${localTime(rival.timestampMs)}, ${rival.author === undefined ? rival.scheme : `ed25519 key ${rival.author}`}`,
      ),
    ),
    ...(receipt ? holdersOf(receipt) : []),
  ];
}

function holdersOf(receipt: HoldersReceipt): [string, string][] {
  const { of, alone, holders, lacking, missing, refused, lost } = receipt;
  const names = (members: HoldersReceipt["missing"]) => members.map(({ name }) => shown(name, 40)).join(", ");
  const more = (
    [
      ["lacking it", lacking],
      ["refused by policy", refused],
      ["not reached", missing],
      ["lost", lost],
    ] as const
  )
    .filter(([, members]) => members.length > 0)
    .map(([what, members]) => `${what}: ${names(members)}`);
  const held = alone ? "no other node is connected" : `${holders.length} of ${of} others`;
  return listed("holders", [[held, names(holders)].filter((text) => text !== "").join(": "), ...more]);
}

function listed(name: string, values: readonly string[]): [string, string][] {
  return (values.length > 0 ? values : ["none"]).map((value, index) => [index === 0 ? name : "", value]);
}
