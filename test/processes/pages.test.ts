// Runs the command lines of README.md and of the pages in docs, as they stand there, and compares what they print.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync, symlinkSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, type TestContext } from "vitest";
import { eventually } from "../fixtures/eventually.js";
import { freePort } from "../fixtures/free-port.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SOON_MS = 30_000;

/** A command line of a page, and the lines that the page shows below it. */
interface Line {
  readonly command: string;
  readonly shown: readonly string[];
}

const PAGES = ["README.md", ...readdirSync(join(ROOT, "docs")).map((name) => `docs/${name}`)].filter((path) =>
  path.endsWith(".md"),
);
/** Blocks by their page and their first command. */
const BLOCKS: ReadonlyMap<string, readonly Line[]> = new Map(
  PAGES.flatMap((path) =>
    blocksOf(readFileSync(join(ROOT, path), "utf8")).map(
      (lines) => [`${path}: ${lines[0]!.command}` as string, lines] as const,
    ),
  ),
);

const RUN = "node bin/run.js";
const GUIDE = `docs/guide.md: $ ${RUN}`;
const KITCHEN = `README.md: $ ${RUN} broadcast start --name kitchen`;
const ALONE = { does: `${RUN} broadcast start --name kitchen` };
const HALL = `README.md: $ ${RUN} broadcast start --name hall --port 8081`;

/** Steps in one directory, in order: a block of a page; a command line of the test; `kill -9` of a server that a step began. */
type Step = string | { readonly does: string } | { readonly kills: string };

const SCENES: Readonly<Record<string, readonly Step[]>> = {
  "README in sixty seconds": [
    ...[KITCHEN, HALL, `README.md: $ ${RUN} broadcast post "doors open at nine" --wait all`],
    `README.md: $ ${RUN} broadcast watch --exec 'cat >> notices.txt; echo >> notices.txt'`,
  ],
  "do all agree?": [
    ...[KITCHEN, HALL, { does: `${RUN} broadcast post x --wait all` }],
    `${GUIDE} broadcast check`,
    `${GUIDE} broadcast check --format nagios --timeout 10s --url http://127.0.0.1:8080`,
    { kills: "kitchen" },
    `${GUIDE} broadcast check --url http://127.0.0.1:8081`,
  ],
  topics: [KITCHEN, HALL, `${GUIDE} broadcast post "disk full on db1" --topic alerts/disk`],
  disks: [
    ...[`${GUIDE} broadcast start --name kitchen --data-dir ./items`],
    { does: `${RUN} broadcast post "doors open at nine"` },
    { kills: "kitchen" },
    `${GUIDE} broadcast start --name kitchen --data-dir ./items`,
    `${GUIDE} broadcast list`,
  ],
  "the board, for others": [`docs/guide.md: $ printf '%s read\\n' "$(openssl rand -hex 16)" > tokens`],
  "many lines": [
    ALONE,
    { does: "printf 'a\\nb\\n' | tee notices.txt > app.log" },
    `${GUIDE} broadcast post --lines --file notices.txt --topic notices`,
  ],
  "a command for each item": [
    ALONE,
    { does: "printf '#!/bin/sh\\ncat > mail\\n' > mail-it.sh && chmod +x mail-it.sh" },
    `${GUIDE} broadcast watch --exec 'cat >> items.txt; echo >> items.txt'`,
    `${GUIDE} broadcast watch --state disk.state --exec ./mail-it.sh`,
  ],
  "keys and trust": [
    `${GUIDE} keys cluster --out cluster.key`,
    `${GUIDE} broadcast post "doors open at nine"`,
  ],
  "the hub": [
    ...[`${GUIDE} hub start`, `${GUIDE} hub listen --name desk --group news`],
    `${GUIDE} hub send "hello" --group news`,
    `${GUIDE} hub simulate -c 20 -n 50 -i 20ms`,
  ],
  "simulate a cluster": [
    `${GUIDE} broadcast simulate --nodes 50 --items 1000 --loss 0.1 --partition 3 --churn 0.2 --seed 7`,
  ],
  "the calls of before, with curl": [
    ...[KITCHEN, HALL],
    `docs/guide.md: $ curl -s -d '{"id":"1","raw":"hello from curl","signature":"e9a20550cac7b0b849fd3ebd6fd70c3d"}' http://127.0.0.1:8080/postNewData`,
  ],
  "the calls of today, with curl": [
    ALONE,
    { does: `${RUN} broadcast post "hello from curl" --id 1` },
    "docs/http.md: $ curl -sN 'http://127.0.0.1:8080/v1/events?since=10m'",
    `docs/guide.md: $ curl -s -H 'content-type: application/json' -d '{"raw":"doors open at nine"}' 'http://127.0.0.1:8080/v1/items'`,
    { does: `echo '{"message":"a"}' > notices.json` },
    "docs/http.md: jq -c '{raw: .message}' notices.json | curl -s -H 'content-type: application/x-ndjson' --data-binary @- http://127.0.0.1:8080/v1/items",
    "docs/http.md: curl -s 'http://127.0.0.1:8080/v1/status?since=2026-01-31T12:00:00Z'",
  ],
};

/** Blocks that no scene runs, and why. */
const NOT_RUN: Readonly<Record<string, string>> = {
  "README.md: npm ci && npm run demo":
    "they are the build and the tests; the demo has test/commands/demo.test.ts",
  [`${GUIDE} broadcast show site --holders`]: "one of three nodes must hang: test/commands/show.test.ts",
  [`${GUIDE} discover`]: "shows what runs on the whole machine: test/commands/discovered-node.test.ts",
  "docs/guide.md: $ /usr/sbin/nats-server -js -sd ./nats -p 4223": "NATS: test/processes/nats.test.ts",
  "docs/guide.md: $ nats-server -js -sd ./nats": "NATS: test/processes/hubs.test.ts",
  "docs/install.md: npm ci && npm run package:executable": "CI builds it and runs it",
  "docs/install.md: npm ci && npm run package:deb": "CI installs it",
  "docs/install.md: hubcast keys cluster --out cluster.key": "asks for root and systemd",
  "docs/install.md: npm pack":
    "installs for the whole machine: test/repository/package.test.ts packs and installs",
  "docs/security.md: hubcast keys cluster --out cluster.key": "a certificate and a directory of root",
  "docs/protocol-signatures.md: printf '302e020100300506032b657004220420%s' 9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60 |":
    "the vector itself has test/node/replica/signature.test.ts",
};

it("every block of a page is run, or says why not; none is named that there is not", () => {
  const ran = new Set(
    Object.values(SCENES)
      .flat()
      .filter((step) => typeof step === "string"),
  );
  const told = [...Object.keys(NOT_RUN)];
  const toldOf = (name: string) => told.find((prefix) => name.startsWith(prefix));
  const names = [...BLOCKS.keys()].filter((name) => !name.startsWith("docs/recipes.md"));
  expect(names.length).toBeGreaterThan(30);
  expect(names.filter((name) => !ran.has(name) && !toldOf(name))).toEqual([]);
  expect([...ran].filter((name) => !BLOCKS.has(name))).toEqual([]);
  expect(told.filter((prefix) => !names.some((name) => name.startsWith(prefix)))).toEqual([]);
});

describe("the pages do what they say:", { timeout: 4 * SOON_MS }, () => {
  it.for(Object.entries(SCENES))("%s", async ([, steps], { skip }: TestContext) => {
    const commands = steps.flatMap((step) => (typeof step === "string" ? BLOCKS.get(step)! : []));
    for (const program of OTHERS)
      skip(!isHere(program) && commands.some(({ command }) => command.includes(program)), `needs ${program}`);
    await using stage = await Stage.open();
    for (const step of steps) {
      if (typeof step !== "string")
        await ("kills" in step ? stage.kill(step.kills) : stage.run({ command: step.does, shown: [] }));
      else for (const line of BLOCKS.get(step)!) await stage.run(line);
    }
    await stage.showed();
  });
});

/** The command lines of all blocks of `console` and `sh`. In a console only what stands behind `$ ` is one. */
function blocksOf(text: string): Line[][] {
  return [...text.matchAll(/^```(console|sh)\n([\s\S]*?)^```/gm)].map(([, kind, block]) => {
    const lines: { command: string; shown: string[] }[] = [];
    for (const line of block!.trimEnd().split("\n")) {
      if (kind === "sh" || line.startsWith("$ ")) lines.push({ command: line, shown: [] });
      else if (line !== "..." && line !== "") lines.at(-1)!.shown.push(line);
    }
    return lines;
  });
}

/** Programs of others that pages use; the tests ask for npm alone. */
const OTHERS = ["curl", "jq", "openssl"];

function isHere(program: string): boolean {
  return spawnSync("/bin/sh", ["-c", `command -v ${program}`]).status === 0;
}

/** Servers, and what ends at Ctrl-C. */
const RUNS_ON = /\b(broadcast start|broadcast watch|hub start|hub listen|tail -f|curl -sN)\b/;
/** Commands that ask, and change nothing: the test runs them again until they print what the page says. */
const ASKS = /\b(broadcast (list|check|peers)|hub who|curl -s 'http|listAllRecentData)\b/;

/** A directory in which commands run. Ports, nodes, hub and cluster of a page have other numbers and names here. */
class Stage implements AsyncDisposable {
  /** Behind each name: nodes and hubs of other tests are on the same interface. */
  readonly #tag = `-${randomBytes(4).toString("hex")}`;
  readonly #going: { readonly command: string; readonly child: ChildProcess; readonly said: Said }[] = [];

  private constructor(
    readonly path: string,
    /** By the port on the page. */
    private readonly ports: Readonly<Record<string, number>>,
  ) {}

  static async open(): Promise<Stage> {
    const path = await mkdtemp(join(tmpdir(), "hubcast-pages-"));
    symlinkSync(join(ROOT, "bin"), join(path, "bin"));
    return new Stage(path, { 8080: await freePort(), 8081: await freePort(), 9999: await freePort() });
  }

  async run({ command, shown }: Line): Promise<void> {
    const line = this.#here(command.replace(/^\$ /, ""));
    if (RUNS_ON.test(line)) {
      await this.#begin(line, shown);
      return;
    }
    // Nodes have met, and servers are up, when they say what the page shows of them.
    for (const { command, said } of this.#going)
      if (/ start\b/.test(command)) await eventually(() => said.isAsShown(), SOON_MS);
    const isAsShown = async () => {
      const child = this.#spawn(line);
      const said = new Said(line, shown, child, this.#there);
      const [code] = await once(child, "close");
      const fails = shown.some((text) => text.startsWith("error: "));
      if ((code !== 0) !== fails) throw new Error(`${line} ended with ${code}: ${said.text}`);
      return said.isAsShown();
    };
    await eventually(isAsShown, ASKS.test(line) ? SOON_MS : 0);
  }

  /** Ends the server of that name at once. */
  async kill(name: string): Promise<void> {
    const at = this.#going.findIndex(({ command }) => command.includes(`--name ${name}`));
    const [killed] = this.#going.splice(at, 1);
    await ended(killed!.child, "SIGKILL");
  }

  /** Resolves when all that runs on has said what its page shows. */
  async showed(): Promise<void> {
    for (const { child, said } of this.#going) {
      await eventually(() => said.isAsShown(), SOON_MS);
      if (child.exitCode !== null && child.exitCode !== 0) throw new Error(`it ended: ${said.text}`);
    }
  }

  async #begin(line: string, shown: readonly string[]): Promise<void> {
    const child = this.#spawn(line);
    const said = new Said(line, shown, child, this.#there);
    this.#going.push({ command: line, child, said });
    if (shown.length > 0 || / start\b/.test(line)) await eventually(() => said.begins(), SOON_MS);
  }

  #spawn(line: string): ChildProcess {
    const port = String(this.ports[8080]);
    return spawn("/bin/sh", ["-c", line], {
      cwd: this.path,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 3 * SOON_MS,
      killSignal: "SIGKILL",
      env: {
        ...{ PATH: process.env.PATH, HOME: this.path, HUBCAST_MDNS_INTERFACE: "127.0.0.1" },
        ...{
          HUBCAST_PORT: port,
          HUBCAST_URL: `http://127.0.0.1:${port}`,
          HUBCAST_CLUSTER: `default${this.#tag}`,
        },
        ...{ HUBCAST_HUB_PORT: String(this.ports[9999]), HUBCAST_HUB: `127.0.0.1:${this.ports[9999]}` },
        ...{ HUBCAST_HUB_MDNS_INTERFACE: "127.0.0.1", HUBCAST_P2P_HOST: "127.0.0.1" },
        HUBCAST_HUB_NAME: `hubcast${this.#tag}`,
      },
    });
  }

  /** A text of a page with the ports and names of this run. */
  #here(text: string): string {
    const ported = text.replaceAll(/\b(8080|8081|9999)\b/g, (port) => String(this.ports[port]));
    return ported.replaceAll("0.0.0.0", "127.0.0.1").replaceAll(/--name \w+/g, `$&${this.#tag}`);
  }

  /** A text of this run as a page would have it. */
  readonly #there = (text: string): string => {
    let paged = text.replaceAll(this.#tag, "");
    for (const [port, here] of Object.entries(this.ports)) paged = paged.replaceAll(String(here), port);
    // Commands that are to be pasted name a node that is not at the usual port.
    return paged.replaceAll(" --url http://127.0.0.1:8080", "");
  };

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child } of this.#going) await ended(child, "SIGKILL");
  }
}

/** Ends a shell and what it runs. */
async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, "close");
  try {
    process.kill(-child.pid!, signal);
  } catch (error) {
    // One that ended by itself a moment ago, as curl does after its server, has no exit code yet: 'close' follows.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
  await closed;
}

/** The output of a command, on either stream, beside that on its page. */
class Said {
  text = "";

  constructor(
    private readonly command: string,
    private readonly shown: readonly string[],
    child: ChildProcess,
    there: (text: string) => string,
  ) {
    for (const stream of [child.stdout!, child.stderr!])
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.text += there(text);
      });
  }

  /** @throws when a line of the page was not printed */
  isAsShown(): true {
    const printed = this.text.split("\n");
    // Both streams are in one text: their lines may be in any order.
    const lacking = this.shown.filter((line) => {
      const pattern = patternOf(line, this.command);
      return !printed.some((text) => pattern.test(text));
    });
    if (lacking.length > 0)
      throw new Error(`${this.command}\nshould print\n${lacking.join("\n")}\nand printed\n${this.text}`);
    return true;
  }

  /** @throws when it has not printed the first line of the page, or, where there is none, that it is up */
  begins(): true {
    const [first] = this.shown;
    const pattern = first === undefined ? / is up\b/ : patternOf(first, this.command);
    if (!this.text.split("\n").some((text) => pattern.test(text)))
      throw new Error(`${this.command}\nshould begin with\n${first ?? pattern}\nand printed\n${this.text}`);
    return true;
  }
}

/** Patterns of what differs from run to run, and what stands for each. */
const VARIABLE: readonly (readonly [RegExp, string])[] = [
  [/\/ip4\/\S+\/p2p\/\w+/, "/ip4/\\S+/p2p/\\w+"],
  [/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/, "[0-9a-f-]{36}"],
  [/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/, "\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d"],
  [/[0-9a-f]{12}-\d+/, "[0-9a-f]{12}-\\d+"],
  [/\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b|\b\d{13}\b/, "[0-9a-f]+"],
  [/[0-9a-f]{8}\.\.\.|, \.\.\./, ".*"],
  [/\(it closed the connection\)/, "\\([\\w ]+\\)"],
  [/\b[\d.]+ (?:ms|s)\b|\b0\.\d+s/, "[\\d.]+ ?(?:us|ms|s|min)"],
  [/ {2,}/, " {2,}"],
];
/** Of a load: rates, shares of processors, and how well it went. */
const MEASURED: readonly (readonly [RegExp, string])[] = [
  [/^bottleneck .*/, "bottleneck .*"],
  [/[\d,.]+ (?:deliveries\/s|MB\/s)/, "[\\d,.]+ \\S+"],
  [/\d+ %/, "[\\d.]+ %"],
];
/** Of a simulation: how long the machine took. All else comes from the seed. */
const SIMULATED: readonly (readonly [RegExp, string])[] = [
  [/took {2,}[\d.]+ m?s/, "took +[\\d.]+ (?:s|ms|min)"],
];

/** A line of a page as a pattern of what may be printed. */
function patternOf(line: string, command: string): RegExp {
  const variable = command.includes("broadcast simulate")
    ? SIMULATED
    : command.includes("hub simulate")
      ? [...MEASURED, ...VARIABLE]
      : VARIABLE;
  const any = new RegExp(
    variable.map(([from]) => `(${from.source.replaceAll(/\((?!\?)/g, "(?:")})`).join("|"),
    "g",
  );
  let pattern = "";
  let at = 0;
  for (const match of line.matchAll(any)) {
    pattern += escaped(line.slice(at, match.index));
    pattern += variable[match.slice(1).findIndex((group) => group !== undefined)]![1];
    at = match.index + match[0].length;
  }
  return new RegExp(`^${pattern}${escaped(line.slice(at))}\\s*$`);
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
