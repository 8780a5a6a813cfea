import * as Args from "@oclif/core/args";
import * as Flags from "@oclif/core/flags";
import { HubCommand } from "../../cli/hub-command.js";
import { HUB_ADDRESS_FLAGS } from "../../cli/hub-flags.js";
import { readPayload } from "../../cli/payload.js";
import { HubcastError } from "../../core/errors.js";
import { counted } from "../../core/text.js";
import type { HubClient, HubReceipt } from "../../hub/client.js";

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
    to: Flags.integer({
      description: "Id of a receiver; may be given again.",
      multiple: true,
      multipleNonGreedy: true,
      min: 1,
      helpValue: "ID",
    }),
    all: Flags.boolean({ description: "To all other clients.", exclusive: ["to", "group"] }),
    group: Flags.string({ description: "To a group.", helpValue: "NAME", exclusive: ["to", "all"] }),
    file: Flags.string({ description: "Send the bytes of a file.", helpValue: "PATH" }),
  };

  private payload: Buffer = Buffer.alloc(0);

  protected override async prepare(): Promise<void> {
    if (!this.flags.all && this.flags.group === undefined && this.flags.to === undefined) {
      throw new HubcastError("usage", "nobody is named to send to", {
        suggestions: ["Pass --to ID, --group NAME or --all; `hubcast hub who` shows ids."],
      });
    }
    this.payload = await readPayload(this.args.payload, this.flags.file);
  }

  protected async ask(hub: HubClient, signal: AbortSignal): Promise<void> {
    const receipt = (await this.sent(hub, signal))!;
    const { reached, unknown, evicted } = receipt;
    this.output.document({ reached, unknown, evicted });
    this.output.text(`${this.payload.length} bytes reached ${counted(reached, "client")}`);
    if (unknown.length + evicted.length > 0) {
      const parts = [...unknown.map((id) => `${id} is unknown`), ...evicted.map((id) => `${id} was closed`)];
      throw new HubcastError("notDelivered", `not delivered to all: ${parts.join(", ")}`);
    }
  }

  private async sent(hub: HubClient, signal: AbortSignal): Promise<HubReceipt | undefined> {
    const options = { receipt: true, signal };
    if (this.flags.all) return await hub.sendToAll(this.payload, options);
    if (this.flags.group !== undefined) return await hub.sendToGroup(this.flags.group, this.payload, options);
    return await hub.relay(this.flags.to!, this.payload, options);
  }
}
