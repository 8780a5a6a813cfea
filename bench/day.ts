// A day of operators' faults in ten minutes, on a hub, three nodes and their clients: certificates are renewed, logs rotated,
// descriptors used up, clients lose power or freeze, processes are suspended, nodes killed, cables pulled.
//   npm run build && node bench/day.ts [--minutes 10]        0 minutes: what is quick, once
// Read: the last lines. Each says what must hold, and "ok" or what does not. Exit code 1 when something does not: an accepted item
// that is not on all nodes, or that a watcher was told never or twice; a hub message lost, repeated or out of order; an event
// that the log does not tell, or tells twice, or whose count in the metrics differs; files left open. Linux, as root: each
// party is a machine of its own, as a network namespace.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { HubStatus } from "../src/hub/index.js";
import type { Peer } from "../src/node/broadcast.js";
import type { Lan as House, Machine } from "../test/fixtures/lan.js";

const { Lan, whyNoLan } = (await import(
  new URL("../test/fixtures/lan.ts", import.meta.url).href
)) as typeof import("../test/fixtures/lan.js");

const SELF = fileURLToPath(import.meta.url);
const RUN = fileURLToPath(new URL("../bin/run.js", import.meta.url));
const TLS = fileURLToPath(new URL("../test/fixtures/tls/", import.meta.url));
const HUB_PORT = 9_999;
const NODE_PORT = 8_080;
const MONITOR_PORT = 9_998;
const HUB_FILES_MAX = 120;
const NODE_FILES_MAX = 160;
/** More connections than both of them take. */
const FLOOD = 200;
const DEADLINE_MS = 60_000;
const POST_EVERY_MS = 100;
const SEND_EVERY_MS = 20;
const TOKEN = "of-the-day";

type Line = Readonly<Record<string, unknown>>;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const ca = () =>
  ["cert", "renewed-cert"].map((name) => readFileSync(join(TLS, `${name}.pem`), "utf8")).join("\n");
/** Says what it receives or sends, and what befalls its connection. */
async function beHubClient(what: "listen" | "send", name: string): Promise<void> {
  const { connectToHub } = await import("../build/src/hub/client/index.js");
  const tls = { ca: ca(), servername: "localhost" };
  const hub = await connectToHub(`10.78.0.1:${HUB_PORT}`, {
    ...{ name, tls, retry: true, token: TOKEN },
    ...(what === "send" && { callTimeoutMs: 90_000 }),
  });
  say({ type: "connected" });
  void (async () => {
    for await (const event of hub.events()) say(event);
  })();
  if (what === "listen") {
    for await (const { payload } of hub.messages()) say({ type: "message", n: Number(payload.toString()) });
    return;
  }
  for (let n = 0; ; n++) {
    if (hub.connected)
      hub.sendToAll(String(n), { receipt: true }).then(
        (receipt) => say({ ...receipt, type: "sent", n }),
        ({ code }) => say({ type: "unsent", n, code }),
      );
    await pause(SEND_EVERY_MS);
  }
}

async function bePoster(name: string): Promise<void> {
  const { connectToNode } = await import("../build/src/node/client.js");
  for (let n = 0, node: Awaited<ReturnType<typeof connectToNode>> | undefined; ; n++) {
    const id = `${name}-${n}`;
    try {
      node ??= await connectToNode(`https://127.0.0.1:${NODE_PORT}`, { token: TOKEN, ca: ca() });
      const { status } = await node.post({ id, raw: `${id} of a day` });
      say({ type: "posted", id, status });
    } catch (error) {
      say({ type: "unposted", id, code: (error as { code?: string }).code });
    }
    await pause(POST_EVERY_MS);
  }
}

/** Holds connections on which nothing is said. */
async function flood(host: string, port: number): Promise<void> {
  const { connect } = await import("node:net");
  for (let n = 0; n < FLOOD; n++) connect(port, host).on("error", () => {});
  setInterval(() => {}, 1_000);
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** A process on a machine; its lines of JSON, and its log, which may be rotated. */
class Party {
  readonly lines: Line[] = [];
  readonly log: Line[] = [];
  readonly #child: ChildProcess;
  readonly #logPath: string;
  /** Bytes of the file whose lines are in `log`. */
  #lookedAt: number;
  readonly name: string;

  constructor(
    name: string,
    machine: Machine,
    command: readonly string[],
    {
      logs,
      filesMax,
      env,
    }: { readonly logs: string; readonly filesMax?: number; readonly env: NodeJS.ProcessEnv },
  ) {
    this.name = name;
    this.#logPath = join(logs, `${name}.log`);
    const limited = filesMax === undefined ? [] : ["sh", "-c", `ulimit -n ${filesMax}; exec "$@"`, "sh"];
    const [program, ...args] = [...machine.under, ...limited, process.execPath, ...command];
    const log = openSync(this.#logPath, "a");
    this.#lookedAt = fstatSync(log).size;
    this.#child = spawn(program!, args, { stdio: ["ignore", "pipe", log], env: { ...process.env, ...env } });
    createInterface({ input: this.#child.stdout! }).on("line", (text) => this.lines.push(JSON.parse(text)));
  }

  get isOver(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get openFiles(): number {
    return readdirSync(`/proc/${this.#child.pid}/fd`).length;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    this.kill(signal);
    if (!this.isOver) await once(this.#child, "exit");
  }

  async line(type: string, after = 0): Promise<Line> {
    return await until(`${this.name} says ${type}`, () => {
      if (this.isOver) throw new Error(`${this.name} ended: ${readFileSync(this.#logPath, "utf8")}`);
      return this.lines.slice(after).find((line) => line.type === type);
    });
  }

  /** Takes the lines that were written to the file since the last look. */
  look(): void {
    const text = readFileSync(this.#logPath).subarray(this.#lookedAt);
    const whole = text.subarray(0, text.lastIndexOf("\n") + 1);
    this.#lookedAt += whole.length;
    for (const line of whole.toString().split("\n").filter(Boolean)) this.log.push(JSON.parse(line));
  }

  /** As logrotate does it with copytruncate, which loses a line that is written in between. */
  rotate(): void {
    this.look();
    truncateSync(this.#logPath);
    this.#lookedAt = 0;
  }

  /** How many lines say that, those included that were joined. */
  told(message: string, fields: Line = {}): number {
    const matches = this.log.filter(
      ({ msg, ...line }) =>
        String(msg).startsWith(message) &&
        Object.entries(fields).every(([name, value]) => line[name] === value),
    );
    return matches.reduce((sum, { more = 1 }) => sum + Number(more), 0);
  }
}

async function until<Result>(
  what: string,
  look: () => Result | Promise<Result>,
): Promise<NonNullable<Result>> {
  const endMs = performance.now() + DEADLINE_MS;
  for (;;) {
    const result = await look();
    if (result) return result;
    if (performance.now() > endMs) throw new Error(`not within ${DEADLINE_MS / 1_000} s: ${what}`);
    await pause(100);
  }
}

async function measure(): Promise<void> {
  const reason = whyNoLan();
  if (reason) {
    console.error(reason);
    process.exitCode = 2;
    return;
  }
  const { values } = parseArgs({ options: { minutes: { type: "string", default: "10" } } });
  await using lan = await Lan.open(2, 2);
  const directory = mkdtempSync(join(tmpdir(), "hubcast-bench-day-"));
  const day = new Day(lan, directory);
  try {
    await day.begin();
    await day.live(Number(values.minutes));
    await day.check();
  } catch (error) {
    day.tell();
    throw error;
  } finally {
    await day.end();
    rmSync(directory, { recursive: true, force: true });
  }
}

const NODES = ["home", "office", "far"] as const;
type NodeName = (typeof NODES)[number];

class Day {
  readonly #parties: Party[] = [];
  readonly #machines: Readonly<Record<NodeName | "weak", Machine>>;
  readonly #tokenFile: string;
  readonly #startedMs = performance.now();
  readonly #nodes = new Map<NodeName, Party>();
  /** How often a node must have called another one lost. */
  readonly #losses = new Map<string, number>();
  readonly #faults: string[] = [];
  #hub!: Party;
  #sender!: Party;
  #near!: Party;
  #far!: Party;
  #weak!: Party;
  #watchers: Party[] = [];
  #posters: Party[] = [];
  #renewals = 0;
  #filesAtFirst = new Map<Party, number>();

  readonly #lan: House;
  readonly #directory: string;

  constructor(lan: House, directory: string) {
    this.#lan = lan;
    this.#directory = directory;
    const [[home, office], [far, weak]] = lan.rooms as unknown as [[Machine, Machine], [Machine, Machine]];
    this.#machines = { home, office, far, weak };
    this.#tokenFile = join(directory, "token");
  }

  async begin(): Promise<void> {
    this.#putPair();
    writeFileSync(this.#tokenFile, TOKEN);
    const { home, office, far, weak } = this.#machines;
    const tls = [
      "--tls-cert",
      this.#path("cert.pem"),
      "--tls-key",
      this.#path("key.pem"),
      "--token-file",
      this.#tokenFile,
    ];
    const log = ["--json", "--log-format", "json", "--log-level", "debug"];
    const hub = ["hub", "start", "--host", "0.0.0.0", "--monitor-port", String(MONITOR_PORT), ...tls, ...log];
    this.#hub = this.#party("hub", home, [RUN, ...hub], HUB_FILES_MAX);
    for (const name of NODES) {
      const { address } = this.#machines[name];
      const flags = ["--name", name, "--p2p-host", address, "--data-dir", this.#path(name), ...tls, ...log];
      this.#startNode[name] = () =>
        this.#party(name, this.#machines[name], [RUN, "broadcast", "start", ...flags], NODE_FILES_MAX);
      this.#nodes.set(name, this.#startNode[name]!());
    }
    for (const party of this.#servers) await party.line("ready");
    await this.#calm();
    for (const name of NODES) {
      const url = `https://127.0.0.1:${NODE_PORT}`;
      const watch = [
        "broadcast",
        "watch",
        "--json",
        "--url",
        url,
        "--token-file",
        this.#tokenFile,
        "--since",
        "1h",
      ];
      this.#watchers.push(this.#party(`watcher ${name}`, this.#machines[name], [RUN, ...watch]));
      this.#posters.push(this.#party(`poster ${name}`, this.#machines[name], [SELF, "post", name]));
    }
    this.#near = this.#party("near listener", home, [SELF, "listen", "near"]);
    this.#far = this.#party("far listener", far, [SELF, "listen", "far"]);
    this.#weak = this.#party("weak listener", weak, [SELF, "listen", "weak"]);
    for (const listener of this.#listeners) await listener.line("connected");
    this.#sender = this.#party("sender", office, [SELF, "send", "sender"]);
    for (const listener of this.#listeners) await listener.line("message");
    for (const watcher of this.#watchers) await watcher.line("item");
    for (const party of this.#servers) this.#filesAtFirst.set(party, party.openFiles);
  }

  async live(minutes: number): Promise<void> {
    const endMs = performance.now() + minutes * 60_000;
    for (let round = 0; round === 0 || performance.now() < endMs; round++) {
      for (const step of QUICK) await this.#step(step);
      if (minutes > 0) for (const step of SLOW) if (performance.now() < endMs) await this.#step(step);
    }
  }

  readonly #startNode: Partial<Record<NodeName, () => Party>> = {};

  get #servers(): readonly Party[] {
    return [this.#hub, ...this.#nodes.values()];
  }

  get #listeners(): readonly Party[] {
    return [this.#near, this.#far, this.#weak];
  }

  async #step(name: StepName): Promise<void> {
    const beganMs = performance.now();
    const told = await this[name]();
    await this.#calm();
    const seconds = ((performance.now() - beganMs) / 1_000).toFixed(1).padStart(5);
    const at = ((beganMs - this.#startedMs) / 1_000).toFixed(0).padStart(4);
    console.log(`${at} s  ${STEPS[name]}${told ? `: ${told}` : ""} (${seconds.trim()} s)`);
  }

  /** Waits until all nodes are linked and hold the same, and all clients are connected. */
  async #calm(): Promise<void> {
    await until("all nodes know all others", async () => {
      const known = await Promise.all(NODES.map((name) => this.#peers(name)));
      return known.every((peers) => peers.length === 2 && peers.every(({ state }) => state === "connected"));
    });
    if (this.#sender === undefined) return;
    await until("all clients are with the hub", async () => (await this.#hubStatus()).clients === 4);
  }

  async certificatesRenewed(): Promise<string> {
    this.#renewals++;
    this.#putPair();
    const servers = this.#servers;
    await until("all servers say so", () => {
      this.#look();
      return servers.every((server) => server.told("a new certificate") >= this.#renewals);
    });
    return `for the ${this.#renewals}. time`;
  }

  async logsRotated(): Promise<void> {
    for (const party of this.#servers) party.rotate();
  }

  async filesUsedUp(): Promise<string> {
    const { home, office } = this.#machines;
    const before = await this.#hubStatus();
    const floods = [
      this.#party("flood of the hub", office, [SELF, "flood", home.address, String(HUB_PORT)]),
      this.#party("flood of a node", home, [SELF, "flood", "127.0.0.1", String(NODE_PORT)]),
    ];
    const sent = this.#sender.lines.length;
    const refused = await until("the hub counts those whom it refuses", async () => {
      const { closed } = await this.#hubStatus();
      return (closed.clientsMax ?? 0) - (before.closed.clientsMax ?? 0);
    });
    // Connected clients go on meanwhile.
    const { n } = await this.#sender.line("sent", sent);
    await until("a message passes", () => this.#near.lines.some((line) => line.n === n));
    for (const party of floods) await party.stop("SIGKILL");
    return `the hub refused ${refused} connections`;
  }

  async nodeSuspended(): Promise<void> {
    const far = this.#nodes.get("far")!;
    far.kill("SIGSTOP");
    await this.#isLost("far", "home", "office");
    far.kill("SIGCONT");
  }

  async nodeKilled(): Promise<void> {
    await this.#nodes.get("office")!.stop("SIGKILL");
    await this.#isLost("office", "home", "far");
    const before = this.#nodes.get("office")!;
    before.look();
    const after = this.#startNode.office!();
    // One log, as the service manager keeps it.
    after.log.push(...before.log);
    this.#filesAtFirst.set(after, this.#filesAtFirst.get(before)!);
    this.#nodes.set("office", after);
    await after.line("ready");
  }

  async hubPaused(): Promise<void> {
    const away = this.#aways();
    this.#hub.kill("SIGSTOP");
    await pause(5_000);
    this.#hub.kill("SIGCONT");
    const sent = this.#sender.lines.length;
    await this.#sender.line("sent", sent);
    this.#mustBe("nobody leaves a hub that is suspended for 5 s", this.#aways(), away);
  }

  async cableCut(): Promise<void> {
    const away = this.#away(this.#far);
    await this.#lan.cut();
    await this.#isLost("far", "home", "office");
    for (const other of ["home", "office"] as const) await this.#isLost(other, "far");
    await this.#lan.heal();
    await this.#calm();
    const sent = this.#sender.lines.length;
    const { n } = await this.#sender.line("sent", sent);
    await until("messages pass again", () => this.#far.lines.some((line) => line.n === n));
    this.#mustBe("a client outlives a network that is gone for seconds", this.#away(this.#far), away);
  }

  async clientWithoutPower(): Promise<string> {
    await this.#lan.plug(this.#machines.weak, "down");
    const reason = await this.#isClosed("weak");
    await this.#lan.plug(this.#machines.weak, "up");
    await this.#isBack(this.#weak);
    return `closed with ${reason}`;
  }

  async clientFrozen(): Promise<string> {
    this.#weak.kill("SIGSTOP");
    const reason = await this.#isClosed("weak");
    this.#weak.kill("SIGCONT");
    await this.#isBack(this.#weak);
    return `closed with ${reason}`;
  }

  async hubSuspended(): Promise<void> {
    const before = [...this.#listeners, this.#sender].map((client) => this.#away(client));
    this.#hub.kill("SIGSTOP");
    const clients = [...this.#listeners, this.#sender];
    await until("all clients notice", () => clients.every((client, at) => this.#away(client) > before[at]!));
    this.#hub.kill("SIGCONT");
    for (const client of clients) await this.#isBack(client);
  }

  async check(): Promise<void> {
    for (const poster of this.#posters) await poster.stop("SIGTERM");
    await this.#sender.stop("SIGTERM");
    await pause(2_000);
    await this.#checkItems();
    this.#checkMessages();
    await this.#checkHub();
    this.#checkNodes();
    console.log(this.#faults.length === 0 ? "\nall held" : `\n${this.#faults.length} did not hold`);
    if (this.#faults.length > 0) process.exitCode = 1;
  }

  /** Prints what each party said last. */
  tell(): void {
    for (const party of this.#parties) {
      if (this.#servers.includes(party)) party.look();
      console.error(party.name, JSON.stringify(party.lines.slice(-3)), JSON.stringify(party.log.slice(-5)));
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.#parties.map((party) => party.stop("SIGKILL")));
  }

  async #checkItems(): Promise<void> {
    const accepted = this.#posters.flatMap(({ lines }) =>
      lines.flatMap(({ type, id, status }) =>
        type === "posted" && status === "accepted" ? [String(id)] : [],
      ),
    );
    await until("all nodes hold the same", async () => {
      const states = await Promise.all(NODES.map((name) => this.#get<Line>(name, "/v1/status")));
      return new Set(states.map(({ items }) => items)).size === 1;
    }).catch(() => {});
    for (const [at, name] of NODES.entries()) {
      const held = new Set((await this.#list(name)).map(({ id }) => String(id)));
      this.#mustBe(
        `accepted items that ${name} lacks, of ${accepted.length}`,
        accepted.filter((id) => !held.has(id)),
        [],
      );
      const watched = this.#watchers[at]!.lines.flatMap((line) =>
        line.type === "item" ? [(line.item as { id: string }).id] : [],
      );
      const times = new Map<string, number>();
      for (const id of watched) times.set(id, (times.get(id) ?? 0) + 1);
      this.#mustBe(
        `items that the watcher at ${name} was not told`,
        accepted.filter((id) => !times.has(id)),
        [],
      );
      this.#mustBe(
        `items that it was told twice`,
        [...times].flatMap(([id, count]) => (count > 1 ? [id] : [])),
        [],
      );
    }
  }

  #checkMessages(): void {
    const sent = new Set(this.#sender.lines.flatMap(({ type, n }) => (type === "sent" ? [Number(n)] : [])));
    for (const listener of this.#listeners) {
      let [received, gaps, disordered, last] = [0, 0, 0, -1];
      for (const { type, n } of listener.lines) {
        if (type !== "message") continue;
        received++;
        if (Number(n) <= last) disordered++;
        // Between two connections anything may be missed, within one nothing that the hub took.
        let missed = 0;
        if (last >= 0)
          for (let between = last + 1; between < Number(n); between++) if (sent.has(between)) missed++;
        if (missed > 0) gaps++;
        last = Number(n);
      }
      const name = `of ${received} messages to the ${listener.name}, ${this.#away(listener)} times away`;
      this.#mustBe(
        `${name}, more gaps (${gaps}) than connections that it lost`,
        gaps > this.#away(listener),
        false,
      );
      this.#mustBe(`${name}, repeated or out of order`, disordered, 0);
    }
  }

  async #checkHub(): Promise<void> {
    const status = await this.#hubStatus();
    const hub = this.#hub;
    hub.look();
    const refused = hub.told("connection refused");
    this.#mustBe(
      "connections of the hub: counted, and told",
      status.connections,
      hub.told("client connects") + refused,
    );
    for (const [reason, count] of Object.entries(status.closed)) {
      const told = hub.told("client closed", { reason }) + hub.told("connection refused", { reason });
      this.#mustBe(`connections that ended with ${reason}: counted, and told`, count, told);
    }
    const ended = Object.values(status.closed).reduce((sum, count) => sum + count, 0);
    this.#mustBe("all that came are there or have ended", status.connections, ended + status.clients);
    const metrics = await this.#text("home", `http://127.0.0.1:${MONITOR_PORT}/metrics`);
    const counted = (name: string) => Number(RegExp(`^${name} (\\d+)$`, "m").exec(metrics)?.[1]);
    this.#mustBe(
      "connections in the hub's metrics",
      counted("hubcast_hub_connections_total"),
      status.connections,
    );
  }

  #checkNodes(): void {
    this.#look();
    for (const [name, node] of this.#nodes) {
      for (const other of NODES.filter((one) => one !== name)) {
        const losses = this.#losses.get(`${name} ${other}`) ?? 0;
        const told = node.told("peer lost", { peerName: other });
        this.#mustBe(`${name} told that ${other} was lost`, told, losses);
        if (told !== losses)
          for (const line of node.log) if (line.peerName === other) console.log(JSON.stringify(line));
      }
    }
    for (const server of this.#servers) {
      this.#mustBe(
        `renewed certificates told by ${server.name}`,
        server.told("a new certificate"),
        this.#renewals,
      );
      const more = server.openFiles - this.#filesAtFirst.get(server)!;
      this.#mustBe(`files that ${server.name} has open beyond those at first (${more})`, more > 8, false);
      this.#mustBe(
        `errors logged by ${server.name}`,
        server.log.filter(({ level }) => Number(level) >= 50),
        [],
      );
    }
  }

  /** Prints it. */
  #mustBe(what: string, is: unknown, wanted: unknown): void {
    const [have, want] = [is, wanted].map((value) => JSON.stringify(value));
    const isRight = have === want;
    if (!isRight) this.#faults.push(what);
    console.log(
      `${isRight ? "ok " : "BAD"}  ${what}: ${isRight ? have : `${have!.slice(0, 500)}, not ${want}`}`,
    );
  }

  #away(client: Party): number {
    return client.lines.filter(({ type }) => type === "disconnected").length;
  }

  #aways(): number {
    return [...this.#listeners, this.#sender].reduce((sum, client) => sum + this.#away(client), 0);
  }

  async #isBack(client: Party): Promise<void> {
    await until(`${client.name} is back`, () => {
      const back = client.lines.filter(({ type }) => type === "reconnected").length;
      return this.#away(client) > 0 && back === this.#away(client);
    });
  }

  async #isLost(name: NodeName, ...observers: readonly NodeName[]): Promise<void> {
    for (const observer of observers) {
      await until(`${observer} calls ${name} lost`, async () =>
        (await this.#peers(observer)).some((peer) => peer.name === name && peer.state === "lost"),
      );
      const key = `${observer} ${name}`;
      this.#losses.set(key, (this.#losses.get(key) ?? 0) + 1);
    }
  }

  /** @returns the reason */
  async #isClosed(name: string): Promise<unknown> {
    const isIt = (line: Line) => line.msg === "client closed" && line.name === name;
    this.#hub.look();
    const before = this.#hub.log.filter(isIt).length;
    return await until(`the hub closes ${name}`, () => {
      this.#hub.look();
      return this.#hub.log.filter(isIt)[before]?.reason;
    });
  }

  #look(): void {
    for (const party of this.#servers) party.look();
  }

  #putPair(): void {
    const pair = this.#renewals % 2 === 0 ? "" : "renewed-";
    copyFileSync(join(TLS, `${pair}cert.pem`), this.#path("cert.pem"));
    copyFileSync(join(TLS, `${pair}key.pem`), this.#path("key.pem"));
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }

  #party(name: string, machine: Machine, command: readonly string[], filesMax?: number): Party {
    const env = { NODE_EXTRA_CA_CERTS: this.#path("ca.pem") };
    writeFileSync(env.NODE_EXTRA_CA_CERTS, ca());
    const party = new Party(name, machine, command, {
      logs: this.#directory,
      env,
      ...(filesMax && { filesMax }),
    });
    this.#parties.push(party);
    return party;
  }

  async #hubStatus(): Promise<HubStatus> {
    return JSON.parse(await this.#text("home", `http://127.0.0.1:${MONITOR_PORT}/v1/status`));
  }

  async #peers(name: NodeName): Promise<readonly Peer[]> {
    return await this.#get(name, "/v1/peers");
  }

  async #list(name: NodeName): Promise<readonly Line[]> {
    const text = await this.#text(
      name,
      `https://127.0.0.1:${NODE_PORT}/v1/items`,
      "accept: application/x-ndjson",
    );
    return text
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }

  async #get<Answer>(name: NodeName, path: string): Promise<Answer> {
    return JSON.parse(await this.#text(name, `https://127.0.0.1:${NODE_PORT}${path}`));
  }

  /** A call made on that machine, whose servers listen on its loopback interface. */
  async #text(name: NodeName, url: string, ...headers: readonly string[]): Promise<string> {
    const wanted = [`authorization: Bearer ${TOKEN}`, ...headers].flatMap((header) => ["-H", header]);
    const [program, ...args] = [
      ...this.#machines[name].under,
      "curl",
      "-sS",
      "-k",
      "--retry",
      "5",
      "--max-time",
      "30",
    ];
    const child = spawn(program!, [...args, "--retry-all-errors", ...wanted, url], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [out, err] = await Promise.all([
      child.stdout!.toArray(),
      child.stderr!.toArray(),
      once(child, "exit"),
    ]);
    const text = Buffer.concat(out).toString();
    if (text === "") throw new Error(`${name} ${url}: ${Buffer.concat(err)}`);
    return text;
  }
}

const STEPS = {
  certificatesRenewed: "certificates are renewed",
  logsRotated: "logs are rotated",
  filesUsedUp: `${FLOOD} silent connections to the hub and to a node, which may open fewer files`,
  nodeSuspended: "a node is suspended until it is lost, and resumed",
  nodeKilled: "a node loses power, and starts again",
  hubPaused: "the hub is suspended for 5 s, and resumed",
  cableCut: "the network is cut until nodes are lost, and is back",
  clientWithoutPower: "a client of the hub is unplugged until it is closed",
  clientFrozen: "a client of the hub is frozen until it is closed",
  hubSuspended: "the hub is suspended until all clients give it up, and resumed",
} as const;
type StepName = keyof typeof STEPS;
const SLOW: readonly StepName[] = ["clientWithoutPower", "clientFrozen", "hubSuspended"];
const QUICK = (Object.keys(STEPS) as StepName[]).filter((name) => !SLOW.includes(name));

const role = process.argv[2];
if (role === "listen" || role === "send") await beHubClient(role, process.argv[3]!);
else if (role === "post") await bePoster(process.argv[3]!);
else if (role === "flood") await flood(process.argv[3]!, Number(process.argv[4]));
else await measure();
