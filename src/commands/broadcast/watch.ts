import * as Flags from "@oclif/core/flags";
import { ClientCommand, NODE_URL_FLAGS } from "../../cli/client-command.js";
import { Commands, show, watchExec } from "../../cli/exec/watch-exec.js";
import { countFlag, defined, flagList, instantFlag, topicFlag } from "../../cli/flags.js";
import { peerLine } from "../../cli/live-status.js";
import { itemLine } from "../../cli/output.js";
import { onSignals } from "../../cli/signals.js";
import { HubcastError } from "../../core/errors.js";
import type { EventsOptions, NodeEvent } from "../../node/broadcast.js";
import type { HttpNode } from "../../node/client.js";

/** Processes at the same time: more are a mistake in writing. */
const JOBS_MAX = 1_000;

export default class Watch extends ClientCommand<typeof Watch> {
  static override summary = "Show items as they arrive, or run a command for each, until Ctrl-C.";
  static override description =
    `Prints a line an item, as list does, and what happens to items and peers. With --json, one event a line: item, replaced, expired, peer, caught-up. A node that goes away is waited for; what it shows again when it is back is left out.

With --exec, a shell runs CMD for each item instead. It reads raw from standard input; HUBCAST_ID, HUBCAST_TOPIC, HUBCAST_TIMESTAMP_MS, HUBCAST_DIGEST and HUBCAST_KEY (the key of the author) are in its environment, empty where there is none. Quote them in CMD, as "$HUBCAST_ID": anybody who may post chooses ids. Commands start in the order of arrival; one that fails is tried again, ever later, until its item expires. Ctrl-C waits for those that run, a second one does not. With --state, each item runs once at least, also when this command, the node or the machine is killed and started again.`;
  static override examples = [
    { description: "From now on:", command: "<%= config.bin %> <%= command.id %>" },
    { description: "The last hour first:", command: "<%= config.bin %> <%= command.id %> --since 1h" },
    {
      description: "One topic, and all below it:",
      command: "<%= config.bin %> <%= command.id %> --topic alerts",
    },
    {
      description: "Only the raw of new items:",
      command: "<%= config.bin %> <%= command.id %> --json | jq -r 'select(.type==\"item\").item.raw'",
    },
    {
      description: "Add each to a file:",
      command: "<%= config.bin %> <%= command.id %> --exec 'cat >> items.txt; echo >> items.txt'",
    },
    {
      description: "Mail each, also those that came while this was away:",
      command: "<%= config.bin %> <%= command.id %> --state mail.state --exec 'mail -s news ops'",
    },
    {
      description: "Four at a time, of either node:",
      command:
        "<%= config.bin %> <%= command.id %> --url http://a:8080 --url http://b:8080 --jobs 4 --state b.state --exec ./build.sh",
    },
  ];
  static override flags = {
    topic: topicFlag({
      description:
        "Only items of this topic and of all below it; what happens to peers is shown all the same.",
    }),
    since: instantFlag({
      description: "Items stamped since then come first: 10m (ago), ISO 8601, or epoch ms.",
    }),
    exec: Flags.string({
      description: "Run this shell command for each item, with raw on its standard input.",
      helpValue: "CMD",
    }),
    jobs: countFlag({
      description: "Commands of --exec that run at the same time; 1 without it.",
      min: 1,
      max: JOBS_MAX,
      dependsOn: ["exec"],
    }),
    state: Flags.string({
      description:
        "Keep in this file what is finished: the next start with it goes on there, and --since counts for the first alone.",
      helpValue: "FILE",
      dependsOn: ["exec"],
    }),
    once: Flags.boolean({
      description:
        "End with exit code 3 when the connection to the node is lost, instead of connecting again.",
    }),
    ...NODE_URL_FLAGS,
    url: Flags.string({
      description: `${NODE_URL_FLAGS.url.description} May be given again: the next one is followed when one is gone.`,
      env: "HUBCAST_URL",
      helpValue: "URL",
      multiple: true,
      multipleNonGreedy: true,
    }),
  };

  /** With --exec, what it runs is not for the reader alone. */
  protected override get outlivesReader(): boolean {
    return this.flags.exec !== undefined;
  }

  private commands: Commands | undefined;

  protected override async prepare(): Promise<void> {
    // As a variable it is one text, with commas.
    const urls = flagList(this.flags.url);
    if (urls) this.flags.url = [...urls];
    const empty = (["exec", "state"] as const).find((name) => this.flags[name]?.trim() === "");
    if (empty !== undefined) {
      throw new HubcastError("usage", `--${empty} is empty`, {
        suggestions: ["If a variable of the shell holds it, look whether that is set."],
      });
    }
  }

  /** With --exec, the first signal lets what runs finish; all but Ctrl-C are passed on to it. */
  protected override interruption(): ReturnType<ClientCommand<typeof Watch>["interruption"]> {
    const { exec } = this.flags;
    if (exec === undefined) return super.interruption();
    const commands = new Commands(exec, this.output.json ? 2 : 1);
    this.commands = commands;
    const controller = new AbortController();
    onSignals(["SIGINT", "SIGTERM", "SIGHUP"], (name) => {
      if (commands.count > 0) this.output.note(`${name}: waiting for what runs; Ctrl-C again ends it`);
      if (name !== "SIGINT") commands.signal(name);
      // As a server that is stopped: one who looks after it takes another code for a failure.
      controller.abort(name === "SIGINT" ? new HubcastError("interrupted", `stopped by ${name}`) : STOPPED);
    });
    process.on("exit", () => commands.signal("SIGTERM"));
    return { signal: controller.signal, interrupted: new Promise(() => {}) };
  }

  protected async ask(node: HttpNode, signal: AbortSignal): Promise<void> {
    const connection = {
      reconnect: !this.flags.once,
      onConnection: (state, reason) =>
        this.output.note(state === "back" ? this.backWords(node) : `${reason!.message}; connecting again`),
    } satisfies EventsOptions;
    const { topic, since: sinceMs } = this.flags;
    if (this.commands) {
      const { jobs = 1, state } = this.flags;
      const report = (told: Parameters<typeof show>[0]) => show(told, this.output);
      await watchExec(node, {
        ...connection,
        ...{ commands: this.commands, topic, jobs, state, sinceMs, signal, report },
      });
      if (signal.reason !== STOPPED) signal.throwIfAborted();
      return;
    }
    const events = node.events({ ...defined({ topic, sinceMs }), ...connection, signal });
    for await (const event of events) {
      this.output.document(event);
      if (!this.output.json) this.show(event);
      await this.output.drained();
    }
  }

  private backWords({ url }: HttpNode): string {
    const isOneOfMany = (this.flags.url?.length ?? 1) > 1;
    return isOneOfMany ? `connected to ${url}` : "connected again";
  }

  private show(event: NodeEvent): void {
    switch (event.type) {
      case "item":
        this.output.text(itemLine(event.item, this.output));
        break;
      case "replaced":
        this.output.text(itemLine(event.item, this.output, " (replaces another of that id)"));
        break;
      case "expired":
        this.output.detail(["expired: ", ...itemLine(event.item, this.output)]);
        break;
      case "peer":
        this.output.note(peerLine(event.peer));
        break;
      case "caught-up":
        this.output.note("caught up; watching, Ctrl-C ends");
    }
  }
}

/** Why a watcher ends that was told to, by another signal than Ctrl-C. */
const STOPPED = "stopped";
