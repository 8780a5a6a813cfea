import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { StartedNode } from "../../src/node/index.js";
import { newSigningKey, publicKeyOf, readSigningKey, signItem } from "../../src/node/keys.js";
import { eventually } from "../fixtures/eventually.js";
import { Nodes } from "../fixtures/nodes.js";
import { Cli, hubcast } from "./cli.js";

const root = await mkdtemp(join(tmpdir(), "hubcast-exec-"));

/** A state that has to come true on a machine with much other work. */
const SOON_MS = 30_000;
const soon = <T>(look: () => T | Promise<T>) => eventually(look, SOON_MS);

/** A directory in which a command leaves what it did. */
class Place {
  readonly path = join(root, `${readdirSync(root).length}`);

  static async make(): Promise<Place> {
    const place = new Place();
    await import("node:fs/promises").then(({ mkdir }) => mkdir(place.path));
    return place;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  has(name: string): boolean {
    return existsSync(this.file(name));
  }

  /** The text of a file; "" before it is there. */
  text(name: string): string {
    return this.has(name) ? readFileSync(this.file(name), "utf8") : "";
  }

  lines(name: string): readonly string[] {
    return this.text(name).split("\n").slice(0, -1);
  }

  /** A watcher that runs a command here, once it follows the node. */
  async watch(node: StartedNode, command: string, ...flags: string[]): Promise<Cli> {
    const watcher = this.begin(node, command, ...flags);
    await watcher.says(flags.includes("--json") ? /"begun"/ : /the command runs for each item/, where(flags));
    return watcher;
  }

  begin(node: StartedNode, command: string, ...flags: string[]): Cli {
    const args = ["broadcast", "watch", "--url", node.url!, "--exec", command, ...flags];
    return new Cli(args, { env: { D: this.path }, deadlineMs: 120_000 });
  }
}

function where(flags: readonly string[]): "stdout" | "stderr" {
  return flags.includes("--json") ? "stdout" : "stderr";
}

const HTTP = { http: { port: 0 } };

describe("watch --exec", () => {
  test("hands over any item as it is: raw on stdin, the rest in the environment, nothing in the command line", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start(HTTP);
    const place = await Place.make();
    const command =
      'cat > "$D/$HUBCAST_DIGEST.raw"; tr "\\0" "\\n" < /proc/$$/cmdline > "$D/$HUBCAST_DIGEST.line"; env -0 > "$D/$HUBCAST_DIGEST.env"; echo >> "$D/done"';
    await using _end = ended(await place.watch(node, command));
    const pem = newSigningKey();
    const publicKey = publicKeyOf(pem);
    const ids = ["plain", "alerts/disk/é 9", "$(touch owned)", "`id`; 'x' \"y\" && z | *", "a//b", "-n"];
    const raws = [
      "a\nb\r\n",
      "$(touch owned)",
      "'\"`\\",
      "\u0001\u001b[31m",
      "ünï 🎈",
      "x".repeat(1_000_000),
    ];
    const posted = await Promise.all(ids.map((id, index) => node.post({ id, raw: raws[index]! })));
    const signed = signItem({ id: "alerts/signed", raw: "by its author" }, readSigningKey(pem)!);
    posted.push(await node.post(signed));
    await soon(() => place.lines("done").length === 7);
    for (const [index, { id, digest, timestampMs }] of posted.entries()) {
      expect(place.text(`${digest}.raw`)).toBe(raws[index] ?? "by its author");
      const environment = place.text(`${digest}.env`).split("\0");
      expect(environment).toEqual(
        expect.arrayContaining([
          `HUBCAST_ID=${id}`,
          `HUBCAST_TOPIC=${["", "alerts/disk", "", "", "", "", "alerts"][index]}`,
          `HUBCAST_TIMESTAMP_MS=${timestampMs}`,
          `HUBCAST_DIGEST=${digest}`,
          `HUBCAST_KEY=${index === 6 ? publicKey : ""}`,
        ]),
      );
      expect(place.text(`${digest}.line`).trim().split("\n").slice(1)).toEqual(["-c", command]);
    }
    expect(readdirSync(place.path).filter((name) => !/^([0-9a-f]{64}\..*|done)$/.test(name))).toEqual([]);
  });

  test("starts in the order of arrival, tries a failure again, and says each failure", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start(HTTP);
    const place = await Place.make();
    const command =
      'echo "$HUBCAST_ID" >> "$D/runs"; [ "$HUBCAST_ID" != bad ] || [ -e "$D/mended" ] || { echo oops >&2; exit 3; }';
    const watcher = await place.watch(node, command);
    for (const id of ["one", "bad", "two", "three"]) await node.post({ id, raw: "x" });
    await soon(() => place.lines("runs").includes("three"));
    writeFileSync(place.file("mended"), "");
    await watcher.says(/the command is done for bad \(attempt \d+\)\n/, "stderr");
    const runs = place.lines("runs");
    expect(runs.filter((id, index) => runs.indexOf(id) === index)).toEqual(["one", "bad", "two", "three"]);
    expect(watcher.stderr).toMatch(
      /^oops\nwarning: the command failed for bad: exit code 3; again in [\d.]+ m?s$/m,
    );
    watcher.kill("SIGINT");
    expect(await watcher.ended()).toMatchObject({ stdout: "", code: 130 });
  });

  test("with --json says what becomes of each, and nothing else on stdout", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start(HTTP);
    const place = await Place.make();
    const watcher = await place.watch(node, 'echo told; test -e "$D/go"', "--json");
    const { digest, timestampMs } = await node.post({ id: "x", raw: "x" });
    await watcher.says(/"failed"/);
    writeFileSync(place.file("go"), "");
    await watcher.says(/"finished"/);
    watcher.kill("SIGTERM");
    const { stdout, stderr, code } = await watcher.ended();
    const documents = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const of = { id: "x", digest, timestampMs };
    expect(documents.slice(0, 3)).toEqual([
      { type: "begun", waiting: 0 },
      { type: "started", ...of, attempt: 1 },
      { type: "failed", ...of, attempt: 1, fault: "exit code 1", againInMs: expect.any(Number) },
    ]);
    expect(documents.at(-1)).toEqual({ type: "finished", ...of, attempt: expect.any(Number) });
    expect(stderr).toMatch(/^told$/m);
    expect(code).toBe(0);
  });

  test("says which item expired before its command succeeded", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start({ ...HTTP, retentionMs: 3_000 });
    const place = await Place.make();
    await using watcher = ended(await place.watch(node, "exit 1"));
    await node.post({ id: "short", raw: "x" });
    await watcher.cli.says(
      /^warning: short has expired, and the command failed \(\d+ attempts?\): /m,
      "stderr",
    );
  });
});

describe("Ctrl-C", () => {
  const slow =
    'trap "echo told >> $D/signals; exit 9" INT TERM HUP; echo >> $D/began; while [ ! -e $D/go ]; do sleep 0.05; done; echo >> $D/done';

  test("waits for the running command, and starts none behind it", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start(HTTP);
    const place = await Place.make();
    const watcher = await place.watch(node, slow, "--state", place.file("state"));
    await node.post({ id: "1", raw: "x" });
    await node.post({ id: "2", raw: "x" });
    await soon(() => place.has("began"));
    watcher.kill("SIGINT");
    await watcher.says(/SIGINT: waiting for what runs/, "stderr");
    writeFileSync(place.file("go"), "");
    expect((await watcher.ended()).code).toBe(130);
    expect([place.lines("began").length, place.lines("done").length, place.has("signals")]).toEqual([
      1,
      1,
      false,
    ]);
    // The next start has what was left, and not what is done.
    await using _next = ended(await place.watch(node, slow, "--state", place.file("state")));
    await soon(() => place.lines("done").length === 2);
  });

  test("ends it also while the node does not say what it is", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start(HTTP);
    const place = await Place.make();
    const asked = Promise.withResolvers<void>();
    const proxy = createServer(({ url, headers }, response) => {
      if (url === "/v1/status") asked.resolve();
      else
        get(new URL(url!, node.url), { headers }, (answer) => {
          response.writeHead(answer.statusCode!, answer.headers);
          answer.pipe(response);
        });
    }).listen(0, "127.0.0.1");
    await once(proxy, "listening");
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const watcher = place.begin({ url } as StartedNode, "true");
    await asked.promise;
    watcher.kill("SIGINT");
    const beganMs = performance.now();
    expect((await watcher.ended()).code).toBe(130);
    // The status has 8 s.
    expect(performance.now() - beganMs).toBeLessThan(6_000);
    proxy.closeAllConnections();
    proxy.close();
  });

  test("a second time ends it at once, and the command with it", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start(HTTP);
    const place = await Place.make();
    const watcher = await place.watch(node, slow);
    await node.post({ id: "1", raw: "x" });
    await soon(() => place.has("began"));
    watcher.kill("SIGINT");
    await watcher.says(/waiting for what runs/, "stderr");
    // As long as a repeat of the first could come.
    const again = setInterval(() => watcher.kill("SIGINT"), 400);
    expect((await watcher.ended()).code).toBe(130);
    clearInterval(again);
    await soon(() => place.has("signals"));
    expect(place.has("done")).toBe(false);
  });

  test.each(["SIGTERM", "SIGHUP"] as const)("%s is passed on to the command instead", async (signal) => {
    await using nodes = new Nodes();
    const node = await nodes.start(HTTP);
    const place = await Place.make();
    const watcher = await place.watch(node, slow);
    await node.post({ id: "1", raw: "x" });
    await soon(() => place.has("began"));
    watcher.kill(signal);
    const { code, stderr } = await watcher.ended();
    expect([code, place.text("signals"), place.has("done")]).toEqual([0, "told\n", false]);
    expect(stderr).toMatch(/the command failed for 1: exit code 9\n/);
  });
});

describe("watch --exec --state", () => {
  test("begins now, and goes on where it was, also when it was killed", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start(HTTP);
    const place = await Place.make();
    const command = 'echo "$HUBCAST_ID" >> $D/runs';
    const state = ["--state", place.file("state")];
    await node.post({ id: "before", raw: "x" });
    const first = await place.watch(node, command, ...state);
    await node.post({ id: "1", raw: "x" });
    await soon(() => place.lines("runs").length === 1);
    await soon(() => place.text("state").includes('"done"'));
    first.kill("SIGKILL");
    await first.ended();
    await node.post({ id: "2", raw: "x" });
    // The state says where to go on.
    await using second = ended(await place.watch(node, command, ...state, "--since", "1h"));
    await node.post({ id: "3", raw: "x" });
    await soon(() => place.lines("runs").includes("3"));
    expect(place.lines("runs").filter((id) => id !== "1")).toEqual(["2", "3"]);
    const { code, stderr } = await hubcast([
      ...["broadcast", "watch", "--url", node.url!, "--exec", "true", ...state],
    ]);
    expect([code, stderr]).toEqual([4, expect.stringContaining("another watcher has")]);
    expect(second.cli.stderr).not.toContain("warning");
  });

  test("goes on at another node when one is gone", async () => {
    await using nodes = new Nodes();
    const [one, two] = await nodes.startMesh(2, HTTP);
    const place = await Place.make();
    const flags = ["--state", place.file("state"), "--url", two!.url!];
    const command = 'echo "$HUBCAST_ID" >> $D/runs';
    const watcher = await place.watch(one!, command, ...flags);
    await one!.post({ id: "1", raw: "x" }, { wait: "all" });
    await soon(() => place.lines("runs").length === 1);
    await one!.close();
    await two!.post({ id: "2", raw: "x" });
    await watcher.says(/connected to /, "stderr");
    await two!.post({ id: "3", raw: "x" });
    await soon(() => place.lines("runs").length === 3);
    watcher.kill("SIGINT");
    await watcher.ended();
    // In another process, whose first address is gone.
    await using _next = ended(await place.watch(one!, command, ...flags));
    await two!.post({ id: "4", raw: "x" });
    await soon(() => place.lines("runs").length === 4);
    expect(place.lines("runs")).toEqual(["1", "2", "3", "4"]);
  });

  test("refuses a file of another cluster, and of another program, and leaves it as it is", async () => {
    await using nodes = new Nodes();
    await using others = new Nodes();
    const node = await nodes.start(HTTP);
    const other = await others.start(HTTP);
    const place = await Place.make();
    const state = ["--state", place.file("state")];
    const watcher = await place.watch(node, "true", ...state);
    watcher.kill("SIGINT");
    await watcher.ended();
    const refused = await place.begin(other, "true", ...state).ended();
    expect([refused.code, refused.stderr]).toEqual([
      4,
      expect.stringMatching(/is of cluster .*, and the node at/),
    ]);
    writeFileSync(place.file("state"), "hello\n");
    const foreign = await place.begin(node, "true", ...state, "--json").ended();
    expect([foreign.code, JSON.parse(foreign.stdout).error.code]).toEqual([4, "stateFileForeign"]);
    expect(place.text("state")).toBe("hello\n");
  });

  test.each([
    [["--jobs", "2"], /--exec/],
    [["--state", "x"], /--exec/],
    [["--exec", "true", "--jobs", "0"], /"0" is not a whole number/],
  ])("%j is refused", async (flags, message) => {
    const { code, stderr } = await hubcast(["broadcast", "watch", ...flags]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
  });
});

/** Ends a watcher with the test. */
function ended(cli: Cli): AsyncDisposable & { readonly cli: Cli } {
  return {
    cli,
    async [Symbol.asyncDispose]() {
      cli.kill("SIGKILL");
      await cli.ended();
    },
  };
}
