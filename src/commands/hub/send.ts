import * as Args from "@oclif/core/args";
import * as Flags from "@oclif/core/flags";
import { countFlag } from "../../cli/flags.js";
import { HUB_ADDRESS_FLAGS, HubCommand } from "../../cli/hub-command.js";
import { readLines, readPayload } from "../../cli/input.js";
import { errorDocument } from "../../cli/output.js";
import { HubcastError } from "../../core/errors.js";
import { counted } from "../../core/text.js";
import type { HubClient, HubReceipt } from "../../hub/client/index.js";

/** Messages on their way while more lines are read. */
const LINES_AT_ONCE = 64;

export default class Send extends HubCommand<typeof Send> {
  static override summary = "Send a message to clients of a hub.";
  static override description =
    "Waits for the hub's receipt and prints it; exits with 5 when a receiver is unknown or was not reached.";
  static override examples = [
    { description: "To two clients:", command: '<%= config.bin %> <%= command.id %> "hello" --to 3 --to 4' },
    { description: "To all others:", command: '<%= config.bin %> <%= command.id %> "hello" --all' },
    {
      description: "A file, to a group:",
      command: "<%= config.bin %> <%= command.id %> --file a.bin --group g",
    },
    {
      description: "What a program prints, line by line:",
      command: "tail -f log | <%= config.bin %> <%= command.id %> --lines --all",
    },
  ];
  static override args = {
    payload: Args.string({
      description: "The message; without it, --file or standard input.",
      name: "PAYLOAD",
      // Read by ourselves, whole: oclif waits 10 ms for it, and may take it away.
      ignoreStdin: true,
    }),
  };
  static override flags = {
    ...HUB_ADDRESS_FLAGS,
    to: countFlag({
      description: "Id of a receiver, as hub who shows it; may be given again.",
      multiple: true,
      multipleNonGreedy: true,
      min: 1,
      max: Number.MAX_SAFE_INTEGER,
      helpValue: "ID",
    }),
    all: Flags.boolean({ description: "To all other clients.", exclusive: ["to", "group"] }),
    group: Flags.string({ description: "To a group.", helpValue: "NAME", exclusive: ["to", "all"] }),
    file: Flags.string({ description: "Send the bytes of a file.", helpValue: "PATH" }),
    lines: Flags.boolean({
      description: "Send each line of the file or of standard input as a message, as it comes.",
    }),
  };

  protected override get outlivesReader(): boolean {
    return true;
  }

  private payload: Buffer = Buffer.alloc(0);

  protected override async prepare(signal: AbortSignal): Promise<void> {
    if (!this.flags.all && this.flags.group === undefined && this.flags.to === undefined) {
      throw new HubcastError("usage", "nobody is named to send to", {
        suggestions: ["Pass --to ID, --group NAME or --all; `hubcast hub who` shows ids."],
      });
    }
    if (!this.flags.lines) this.payload = await readPayload(this.args.payload, this.flags.file, signal);
    else if (this.args.payload !== undefined) {
      throw new HubcastError("usage", "PAYLOAD and --lines were both given", {
        suggestions: ["Pipe the lines in, or name a --file of them."],
      });
    }
  }

  protected async ask(hub: HubClient, signal: AbortSignal): Promise<void> {
    if (this.flags.lines) {
      await this.sendLines(hub, signal);
      return;
    }
    const { reached, unknown, evicted } = await this.sent(hub, this.payload, signal);
    const missed = [...unknown.map((id) => `${id} is unknown`), ...evicted.map((id) => `${id} was closed`)];
    const failure =
      missed.length === 0
        ? undefined
        : new HubcastError("notDelivered", `not delivered to all: ${missed.join(", ")}`);
    this.output.document({ reached, unknown, evicted, ...(failure && { error: errorDocument(failure) }) });
    this.output.text(`${counted(this.payload.length, "byte")} reached ${counted(reached, "client")}`);
    if (failure) this.failAfterDocument(failure);
  }

  /** Some are on their way at a time: a producer may be endless, and a receipt takes a round trip. */
  private async sendLines(hub: HubClient, signal: AbortSignal): Promise<void> {
    const underWay = new Set<Promise<void>>();
    let [lines, failed] = [0, 0];
    // The next line may never come: the first fault ends the wait for it.
    const fault = new AbortController();
    void failWhenLost(hub, fault, underWay);
    const send = async (line: number, payload: Buffer): Promise<void> => {
      const { reached, unknown, evicted } = await this.sent(hub, payload, signal);
      this.output.document({ type: "sent", line, reached, unknown, evicted });
      if (unknown.length + evicted.length > 0) failed += 1;
    };
    try {
      for await (const payload of readLines(this.flags.file, AbortSignal.any([signal, fault.signal]))) {
        fault.signal.throwIfAborted();
        lines += 1;
        const line = lines;
        const sent = send(line, payload)
          .catch((error: unknown) => fault.abort(ofLine(line, error)))
          .finally(() => underWay.delete(sent));
        underWay.add(sent);
        if (underWay.size >= LINES_AT_ONCE) await Promise.race(underWay);
      }
    } finally {
      await Promise.all(underWay);
    }
    fault.signal.throwIfAborted();
    this.output.text(`${counted(lines, "message")} sent`);
    if (failed > 0)
      throw new HubcastError("notDelivered", `${failed} of ${lines} messages were not delivered to all`);
  }

  private async sent(hub: HubClient, payload: Buffer, signal: AbortSignal): Promise<HubReceipt> {
    const options = { receipt: true, signal };
    const { all, group, to } = this.flags;
    const receipt = all
      ? await hub.sendToAll(payload, options)
      : group !== undefined
        ? await hub.sendToGroup(group, payload, options)
        : await hub.relay(to!, payload, options);
    return receipt!;
  }
}

/** Aborts `fault` when the connection is lost, also when no line comes any more. */
async function failWhenLost(
  hub: HubClient,
  fault: AbortController,
  underWay: ReadonlySet<Promise<void>>,
): Promise<void> {
  for await (const event of hub.events()) {
    if (event.type !== "disconnected") continue;
    // Lines under way fail with the connection, and their error says which they are.
    await Promise.all(underWay);
    fault.abort(new HubcastError("connectionLost", `the hub closed the connection: ${event.reason}`));
  }
}

function ofLine(line: number, error: unknown): unknown {
  if (!(error instanceof HubcastError)) return error;
  const { code, message, suggestions, cause } = error;
  return new HubcastError(code, `line ${line} has no receipt: ${message}`, { suggestions, cause });
}
