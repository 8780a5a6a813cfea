import * as Args from "@oclif/core/args";
import * as Flags from "@oclif/core/flags";
import { ClientCommand, NODE_URL_FLAGS } from "../../cli/client-command.js";
import { lateError } from "../../cli/failure.js";
import { defined, durationFlag, topicFlag, waitFlag } from "../../cli/flags.js";
import { readRaw } from "../../cli/input.js";
import { errorDocument } from "../../cli/output.js";
import { HubcastError } from "../../core/errors.js";
import { LIMITS } from "../../core/limits.js";
import { formatDuration } from "../../core/units.js";
import type { ItemDraft } from "../../node/broadcast.js";
import type { HttpNode } from "../../node/client.js";
import { idUnder } from "../../node/ids.js";

export default class Post extends ClientCommand<typeof Post> {
  static override summary = "Post an item to all nodes, and print its id.";
  static override description =
    "RAW is text, at most 1,000,000 bytes of UTF-8, taken as it is; without it, or as -, it is read from standard input. An item cannot be changed or deleted: post again under a new id, the old one expires.";
  static override examples = [
    { description: "Post a text:", command: '<%= config.bin %> <%= command.id %> "doors open at nine"' },
    {
      description: "Post a file under an id of your own:",
      command: "<%= config.bin %> <%= command.id %> --file notice.txt --id notice-1",
    },
    {
      description: "Post under a topic, for those who list or watch it:",
      command: '<%= config.bin %> <%= command.id %> "disk full on db1" --topic alerts/disk',
    },
    {
      description: "Post what another program prints:",
      command: "uptime | <%= config.bin %> <%= command.id %>",
    },
    {
      description: "Each line that a program prints, as it comes:",
      command: "tail -f log | <%= config.bin %> <%= command.id %> --lines --topic log",
    },
    {
      description: "Wait until every connected node holds it:",
      command: '<%= config.bin %> <%= command.id %> "evacuate" --wait all --timeout 10s',
    },
    {
      description: "Sign it, so that all can see who wrote it:",
      command: '<%= config.bin %> <%= command.id %> "all clear" --sign-key author.pem',
    },
  ];
  static override args = {
    // oclif would read standard input by itself, for 10 ms: we read it, for as long as it takes.
    raw: Args.string({
      name: "RAW",
      description: "The text to post; - reads standard input.",
      ignoreStdin: true,
    }),
  };
  static override flags = {
    id: Flags.string({
      description: "Id of the item, up to 256 bytes. Without it: a UUIDv7.",
      helpValue: "ID",
    }),
    topic: topicFlag({
      description:
        "Post it under this topic: its id is TOPIC/UUID, or, with --id, TOPIC/ID, where ID has no /.",
    }),
    file: Flags.string({ description: "Post what is in this file.", helpValue: "PATH" }),
    lines: Flags.boolean({
      description:
        "Post each line of the file or of standard input as an item, as it comes; exit code 4 if some were refused, 5 if --wait was in vain for some.",
      exclusive: ["id"],
    }),
    "sign-key": Flags.string({
      description:
        "Sign with the key in this file (hubcast keys generate); without it: anyone could have written it.",
      helpValue: "FILE",
    }),
    wait: waitFlag({
      description:
        "Wait until so many other nodes hold it, or all that are connected; exit code 5 if not in time.",
    }),
    timeout: durationFlag({
      description: "How long --wait waits; 5s without it.",
      dependsOn: ["wait"],
      min: 1,
      max: LIMITS.receiptTimeoutMsMax,
    }),
    ...NODE_URL_FLAGS,
  };

  protected override get outlivesReader(): boolean {
    return true;
  }

  private raw = "";
  private itemId: string | undefined;
  private sign = (draft: ItemDraft): ItemDraft => draft;

  protected override async prepare(): Promise<void> {
    const { topic, id } = this.flags;
    this.itemId = topic === undefined ? id : idUnder(topic, id);
    if (!this.flags.lines) this.raw = await readRaw(this.args.raw, this.flags.file);
    else if (this.args.raw !== undefined && (this.args.raw !== "-" || this.flags.file !== undefined)) {
      throw new HubcastError("usage", "RAW and --lines were both given", {
        suggestions: ["Pipe the lines in, or name a --file of them."],
      });
    }
    const path = this.flags["sign-key"];
    if (path === undefined) return;
    const { itemSigner } = await import("../../cli/flag-file.js");
    this.sign = await itemSigner(path);
  }

  protected async ask(node: HttpNode, signal: AbortSignal): Promise<void> {
    const { wait, timeout: timeoutMs } = this.flags;
    if (this.flags.lines) {
      const { postLines } = await import("../../cli/post-lines.js");
      const { topic, file } = this.flags;
      const draftOf = (raw: string) => this.sign(topic === undefined ? { raw } : { id: idUnder(topic), raw });
      const holders = wait === undefined ? undefined : { wait, ...defined({ timeoutMs }) };
      await postLines(node, { file, draftOf, wait: holders, output: this.output, signal });
      return;
    }
    const result = await node.post(this.sign({ raw: this.raw, ...defined({ id: this.itemId }) }), {
      ...defined({ wait, timeoutMs }),
      signal,
    });
    const late = result.receipt && !result.receipt.complete ? lateError(result.receipt) : undefined;
    // One document, also when it is late: the id is in it, and what is missing.
    this.output.document({ ...result, ...(late && { error: errorDocument(late) }) });
    this.output.text(result.id);
    if (result.status === "held") this.output.note("the node held this very item already");
    for (const { name, afterMs } of result.receipt?.holders ?? []) {
      this.output.note(`held by ${name} after ${formatDuration(afterMs)}`);
    }
    const { of, membersEstimated } = result.receipt ?? {};
    if (membersEstimated !== undefined)
      this.output.note(`${of} members were asked, a sample of about ${membersEstimated}`);
    if (late) this.failAfterDocument(late);
  }
}
