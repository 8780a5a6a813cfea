import { execFileSync } from "node:child_process";
import {
  existsSync,
  lchownSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startHub } from "../../src/hub/index.js";
import { eventually } from "../fixtures/eventually.js";
import { Cli, hubcast } from "./cli.js";
import { Door } from "./door.js";
import { type Fault, FaultyHub } from "./faulty-hub.js";

const small = (clients: number): string[] => [
  ...["hub", "simulate", "-c", String(clients), "-n", "5", "--size", "100"],
];
const SMALL = small(20);
const closers: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** Children of a process, and theirs. */
function descendants(pid: number): string[] {
  const lines = execFileSync("ps", ["-eo", "pid=,ppid="], { encoding: "utf8" }).trim().split("\n");
  const pairs = lines.map((line) => line.trim().split(/\s+/));
  const children = pairs.filter(([, parent]) => parent === String(pid)).map(([child]) => child!);
  return children.flatMap((child) => [child, ...descendants(Number(child))]);
}

function commandOf(pid: string): string {
  return readFileSync(`/proc/${pid}/cmdline`, "utf8");
}

function isAlive(pid: string): boolean {
  try {
    process.kill(Number(pid), 0);
    return true;
  } catch {
    return false;
  }
}

describe("hub simulate", () => {
  it("starts a hub of its own, and proves that everything arrived", async () => {
    const { code, stdout } = await hubcast(SMALL);
    expect(stdout).toContain("delivered: all 1,900 messages of 380 pairs arrived once, in order, unchanged");
    for (const word of ["time alive", "sent", "received", "average", "deliveries/s", "bottleneck", "P99.9"]) {
      expect(stdout).toContain(word);
    }
    expect(code).toBe(0);
  });

  it("prints one document with --json", async () => {
    const { code, stdout } = await hubcast([...SMALL, "-i", "0", "--workers", "3", "--json"]);
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({
      ...{ type: "simulation", clients: 20, messages: 5, size: 100, intervalMs: 0, workers: 3 },
      sent: { messages: 100, messagesPerClient: 5 },
      received: { messages: 1_900, bytes: 190_000, messagesPerClient: 95 },
      proof: {
        delivered: true,
        ...{ pairs: 380, expected: 1_900, lost: 0, duplicated: 0, outOfOrder: 0, corrupt: 0, unsent: 0 },
        ...{ closed: [], faulty: [], faultyLeftOff: 0 },
      },
      bottleneck: { bottleneck: expect.stringMatching(/^(generator|hub|neither)$/), why: expect.any(String) },
      hubProcess: { cpuSeconds: expect.any(Number), memoryPeakBytes: expect.any(Number), closed: {} },
    });
    expect(report.generator.workers).toHaveLength(3);
    expect(Object.keys(report.latency.intended)).toEqual(["p50Ms", "p90Ms", "p99Ms", "p999Ms", "maxMs"]);
    const counted = report.histogram.reduce((sum: number, [, , count]: number[]) => sum + count!, 0);
    expect(counted).toBe(1_900);
  });

  it("is called as the simulation before it was: one dash, and the same for its hub", async () => {
    const hub = new Cli(["hub", "start", "-port=0", "-no-mdns", "-json"]);
    closers.push(async () => {
      hub.kill("SIGTERM");
      expect((await hub.ended()).code).toBe(0);
    });
    await hub.says(/"type":"ready"/);
    const port = JSON.parse(hub.stdout).address.split(":")[1];
    const load = ["hub", "simulate", "-size=1024", "-ncli=2", "-nmex=10", "-i=1"];
    const there = ["-addr=127.0.0.1", `-port=${port}`];
    const full = await hubcast([...load, "-stat=true", ...there]);
    expect([full.stdout, full.code]).toEqual([expect.stringMatching(/^time alive[\s\S]*\ndelivered: /), 0]);
    const short = await hubcast([...load, "-stat=false", ...there]);
    expect([short.stdout, short.code]).toEqual([expect.stringMatching(/^delivered: all 20 .*\n$/), 0]);
  });

  it("loads a hub that runs already, takes the seed's names of flags, and says no more than it must", async () => {
    const hub = await startHub({ port: 0 });
    closers.push(() => hub.close());
    const { code, stdout, stderr } = await hubcast([
      ...["hub", "simulate", "--addr", "127.0.0.1", "--port", String(hub.port)],
      ...["--ncli", "5", "--nmex", "3", "-i", "2", "--size", "24", "--no-stat"],
    ]);
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: "delivered: all 60 messages of 20 pairs arrived once, in order, unchanged\n",
      stderr: "",
    });
    expect(hub.stats().messagesOut).toBeGreaterThanOrEqual(60);
  });

  it("carries large payloads, and more receivers than one relay can name", async () => {
    const large = await hubcast(["hub", "simulate", "-c", "5", "-n", "3", "--size", "1024000", "--json"]);
    expect(JSON.parse(large.stdout).proof).toMatchObject({ delivered: true, expected: 60 });
    const many = await hubcast(["hub", "simulate", "-c", "300", "-n", "2", "--size", "64", "--json"]);
    expect(JSON.parse(many.stdout).proof).toMatchObject({ delivered: true, expected: 179_400 });
  });

  it("connects and sends nothing with no messages", async () => {
    const { code, stdout } = await hubcast(["hub", "simulate", "-c", "50", "-n", "0", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ clients: 50, seconds: 0, proof: { expected: 0 } });
    expect(code).toBe(0);
  });

  it("shows what misbehaving clients cost the others", async () => {
    const args = ["-c", "12", "-n", "10", "--size", "1000", "-i", "20", "--chaos", "33%", "--json"];
    const { code, stdout } = await hubcast(["hub", "simulate", ...args]);
    const { chaos, proof } = JSON.parse(stdout);
    expect(proof).toMatchObject({ delivered: true, pairs: 56, expected: 560 });
    expect(chaos).toMatchObject({
      ...{ healthy: 8, chaotic: 4, proofWithout: { delivered: true } },
      score: expect.any(Number),
    });
    expect(code).toBe(0);
  });

  it.runIf(process.getuid?.() === 0)("writes through no link that another user has put there", async () => {
    const directory = mkdtempSync(join(tmpdir(), "simulate-"));
    const [victim, link] = [join(directory, "victim"), join(directory, "load.html")];
    writeFileSync(victim, "precious");
    symlinkSync(victim, link);
    lchownSync(link, 12_345, 12_345);
    const { code, stderr } = await hubcast([...SMALL, "--report", link]);
    expect([code, readFileSync(victim, "utf8")]).toEqual([2, "precious"]);
    expect(stderr).toContain("is a link that another user has put there");
    // One's own is followed, as everywhere.
    lchownSync(link, 0, 0);
    expect((await hubcast([...SMALL, "--report", link])).code).toBe(0);
    expect(readFileSync(victim, "utf8")).toContain("<svg");
  });

  it("writes a page that needs nothing else", async () => {
    const directory = mkdtempSync(join(tmpdir(), "simulate-"));
    const path = join(directory, "load.html");
    expect((await hubcast([...SMALL, "--report", path])).code).toBe(0);
    const page = readFileSync(path, "utf8");
    // Over time there are two charts, or the words that the run was too short for them.
    expect(page.match(/<svg/g)!.length + (page.includes("no course over time") ? 2 : 0)).toBe(3);
    expect(page).toContain(`<code>hubcast ${[...SMALL, "--report", path].join(" ")}</code>`);
    expect(page).not.toMatch(/(src|href)=|url\(|https?:/);
    const embedded = /<script type="application\/json" id="report">(.*)<\/script>/.exec(page)![1]!;
    expect(JSON.parse(embedded).proof.delivered).toBe(true);
  });
});

describe("hub simulate, when its page cannot be written in the end,", () => {
  it("prints its report in one document, with the reason", async () => {
    const directory = mkdtempSync(join(tmpdir(), "simulate-"));
    const path = join(directory, "load.html");
    const cli = new Cli([...small(2), "-i", "200ms", "--json", "-q", "--report", path]);
    await eventually(() => existsSync(path));
    rmSync(directory, { recursive: true });
    const { stdout, code } = await cli.ended();
    expect(JSON.parse(stdout)).toMatchObject({
      proof: { delivered: true },
      error: { code: "systemFailed", message: expect.stringMatching(/--report: cannot write .*ENOENT/) },
    });
    expect(code).toBe(1);
  });
});

describe("hub simulate against several hubs", () => {
  it("spreads its clients over the addresses in turn, and proves all pairs", async () => {
    const hub = await startHub({ port: 0 });
    const doors = [new Door(hub.port), new Door(hub.port), new Door(hub.port)];
    closers.push(...doors.map((door) => () => door.close()), () => hub.close());
    const addresses = await Promise.all(doors.map((door) => door.open()));
    const { code, stdout } = await hubcast([
      ...SMALL,
      ...addresses.flatMap((address) => ["--addr", address]),
      "--json",
    ]);
    expect(JSON.parse(stdout)).toMatchObject({
      hubs: addresses,
      proof: { delivered: true, expected: 1_900 },
    });
    expect(code).toBe(0);
    expect(doors.map(({ connections }) => connections)).toEqual([7, 7, 6]);
  });

  it("says when they are not connected to each other", async () => {
    const hubs = await Promise.all([startHub({ port: 0 }), startHub({ port: 0 })]);
    closers.push(...hubs.map((hub) => () => hub.close()));
    const { code, stdout } = await hubcast([
      ...SMALL,
      ...hubs.flatMap(({ address }) => ["--addr", address]),
      "--json",
    ]);
    expect(JSON.parse(stdout).error).toMatchObject({ code: "hubsApart", exitCode: 3 });
    expect(code).toBe(3);
  });
});

describe("hub simulate against a hub that asks for a token", () => {
  let address = "";
  let closed = (): object => ({});
  beforeEach(async () => {
    const hub = await startHub({ port: 0, token: "sesame" });
    closers.push(() => hub.close());
    address = hub.address;
    closed = () => hub.stats().closed;
  });

  it("shows the token, also from clients that misbehave", async () => {
    const args = ["-c", "12", "-n", "10", "--size", "1000", "-i", "20", "--chaos", "33%", "--json"];
    const env = { HUBCAST_TOKEN: "sesame" };
    const { code, stdout } = await hubcast(["hub", "simulate", "--addr", address, ...args], { env });
    expect(JSON.parse(stdout).proof).toMatchObject({ delivered: true, pairs: 56, expected: 560 });
    expect(code).toBe(0);
    expect(closed()).toHaveProperty("connectionLost");
    expect(closed()).not.toHaveProperty("unauthorized");
  });

  it("takes the token from a file, and sends large payloads as version 2 does", async () => {
    const large = ["-c", "5", "-n", "4", "--size", "70000", "--addr", address, "--json"];
    const { code, stdout } = await hubcast([
      "hub",
      "simulate",
      ...large,
      "--token-file",
      tokenFile("sesame"),
    ]);
    expect(JSON.parse(stdout).proof).toMatchObject({ delivered: true, expected: 80 });
    expect(code).toBe(0);
  });

  it("says that the token is wrong, or that there is none", async () => {
    const wrong = await hubcast([...SMALL, "--addr", address, "--json", "--token-file", tokenFile("no")]);
    expect(JSON.parse(wrong.stdout).error).toMatchObject({ code: "unauthorized" });
    expect(wrong.code).toBe(4);
    const none = await hubcast([...SMALL, "--addr", address]);
    expect(none.stderr).toContain("--token-file");
    expect(none.code).toBe(4);
  });

  function tokenFile(token: string): string {
    const directory = mkdtempSync(join(tmpdir(), "simulate-"));
    writeFileSync(join(directory, "token"), token);
    return join(directory, "token");
  }
});

describe("hub simulate against a hub that talks TLS", () => {
  const certPath = fileURLToPath(new URL("../fixtures/tls/cert.pem", import.meta.url));
  const key = readFileSync(new URL("../fixtures/tls/key.pem", import.meta.url));
  let address = "";
  beforeEach(async () => {
    const hub = await startHub({ port: 0, tls: { cert: readFileSync(certPath), key } });
    closers.push(() => hub.close());
    address = hub.address;
  });

  it("proves what it delivers, small and large, also beside clients that misbehave", async () => {
    const secure = ["--addr", address, "--tls-ca", certPath, "--json"];
    const large = ["hub", "simulate", "-c", "5", "-n", "3", "--size", "1024000", "--workers", "2"];
    const plain = await hubcast([...large, ...secure]);
    expect(JSON.parse(plain.stdout).proof).toMatchObject({ delivered: true, expected: 60 });
    const args = ["-c", "12", "-n", "10", "--size", "1000", "-i", "20", "--chaos", "33%"];
    const chaos = await hubcast(["hub", "simulate", ...args, ...secure]);
    expect(JSON.parse(chaos.stdout).proof).toMatchObject({ delivered: true, pairs: 56, expected: 560 });
    expect([plain.code, chaos.code]).toEqual([0, 0]);
  });

  it("names the flag when it is missing, and when it is not wanted", async () => {
    const missing = await hubcast([...SMALL, "--addr", address]);
    expect(missing.stderr).toContain("A hub that talks TLS needs --tls-ca");
    expect(missing.code).toBe(3);
    const plain = await startHub({ port: 0 });
    closers.push(() => plain.close());
    const unwanted = await hubcast([...SMALL, "--addr", plain.address, "--tls-ca", certPath]);
    expect(unwanted.stderr).toContain("Leave out --tls-ca");
    expect(unwanted.code).toBe(3);
  });

  it("does not talk TLS to a hub that it starts itself", async () => {
    const { code, stdout } = await hubcast([...SMALL, "--json"], { env: { HUBCAST_TLS_CA: certPath } });
    expect(JSON.parse(stdout).proof).toMatchObject({ delivered: true });
    expect(code).toBe(0);
  });
});

describe("hub simulate exits with 5 when a hub", () => {
  const faults: Readonly<Record<string, Fault>> = {
    lost: (payload, count) => (count === 500 ? [] : [payload]),
    duplicated: (payload, count) => (count === 500 ? [payload, payload] : [payload]),
    corrupt: (payload, count) => {
      if (count !== 500) return [payload];
      const changed = Buffer.from(payload);
      changed[77]! ^= 16;
      return [changed];
    },
  };
  it.each([
    ["loses one message", "lost", { lost: 1, duplicated: 0, outOfOrder: 0, corrupt: 0 }],
    ["delivers one twice", "duplicated", { lost: 0, duplicated: 1, outOfOrder: 0, corrupt: 0 }],
    ["flips one bit", "corrupt", { lost: 1, duplicated: 0, outOfOrder: 0, corrupt: 1 }],
  ])("%s", async (_what, name, counts) => {
    const proof = await proofOf(faults[name]!);
    expect(proof).toMatchObject({ delivered: false, ...counts });
    expect(proof.faulty).toEqual([{ from: expect.any(Number), to: expect.any(Number), ...counts }]);
  });

  it("changes the order", async () => {
    // With two clients, deliveries alternate between the pairs: what is kept back for one goes after its next.
    let kept: Buffer | undefined;
    const fault: Fault = (payload) => {
      const isFirst = payload.readUInt32BE(4) === 0 && payload.readUInt32BE(8) === 1;
      if (isFirst) kept = Buffer.from(payload);
      if (isFirst) return [];
      const late = payload.readUInt32BE(4) === 0 && payload.readUInt32BE(8) === 2;
      return late ? [payload, kept!] : [payload];
    };
    const proof = await proofOf(fault, 2);
    expect(proof).toMatchObject({ lost: 0, duplicated: 0, outOfOrder: 1, corrupt: 0 });
    expect(proof.faulty).toEqual([{ from: 0, to: 1, lost: 0, duplicated: 0, outOfOrder: 1, corrupt: 0 }]);
  });

  it("closes its clients, and names the worst pairs in text", async () => {
    const port = await listening(new FaultyHub((payload) => [payload], 3));
    const args = [...SMALL, "--addr", `127.0.0.1:${port}`, "--timeout", "300ms"];
    const { code, stderr } = await hubcast(args);
    expect(code).toBe(5);
    expect(stderr).toContain("20 clients closed by the hub");
  });

  it("loses a message, also when nobody reads the report, and writes the page", async () => {
    const port = await listening(new FaultyHub(faults.lost!));
    const path = join(mkdtempSync(join(tmpdir(), "hubcast-unread-")), "load.html");
    const args = [...SMALL, "--addr", `127.0.0.1:${port}`, "--timeout", "500ms", "--report", path];
    const cli = new Cli(args);
    cli.hangUp();
    expect((await cli.ended()).code).toBe(5);
    expect(readFileSync(path, "utf8")).toContain("</html>");
  });

  it("loses a message while all behave, before the run with those that do not", async () => {
    const port = await listening(new FaultyHub((payload, count) => (count === 0 ? [] : [payload])));
    const args = ["-c", "12", "-n", "10", "-i", "20", "--chaos", "33%", "--addr", `127.0.0.1:${port}`];
    const { code, stdout, stderr } = await hubcast(["hub", "simulate", ...args, "--timeout", "500ms"]);
    expect(code).toBe(5);
    expect(stdout).toContain("delivered: all 560 messages of 56 pairs");
    expect(stdout).toMatch(
      /while all behaved, not everything arrived as it was sent: 1 lost\nthe worst of 1 faulty/,
    );
    expect(stderr).toContain("error: while all behaved, not everything arrived as it was sent: 1 lost");
  });

  it("hangs, also one that was started for the run", async () => {
    const cli = new Cli(["hub", "simulate", "-c", "4", "-n", "100000", "-i", "1ms", "--timeout", "1s"]);
    await cli.says(/deliveries/, "stderr");
    const hub = descendants(cli.pid).find((pid) => commandOf(pid).includes("hub-process"));
    process.kill(Number(hub), "SIGSTOP");
    const { code, stderr } = await cli.ended();
    expect(stderr).toMatch(/error: not everything arrived as it was sent: .*never sent/);
    expect(code).toBe(5);
  });

  async function listening(hub: FaultyHub): Promise<number> {
    closers.push(() => hub.close());
    return await hub.listen();
  }

  async function proofOf(fault: Fault, clients = 20) {
    const port = await listening(new FaultyHub(fault));
    const address = ["--addr", `127.0.0.1:${port}`, "--timeout", "500ms"];
    const json = await hubcast([...small(clients), ...address, "--json"]);
    expect(json.code).toBe(5);
    const { proof, error } = JSON.parse(json.stdout);
    expect(error).toMatchObject({ code: "notDelivered", exitCode: 5 });
    return proof;
  }
});

describe("hub simulate says what is wrong when", () => {
  it("there is no hub", async () => {
    const { code, stderr } = await hubcast([...SMALL, "--addr", "127.0.0.1:1"]);
    expect(code).toBe(3);
    expect(stderr).toContain("no hub answers at 127.0.0.1:1");
  });

  it("what answers is no hub", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    closers.push(() => void server.close());
    await eventually(() => server.listening);
    const { port } = server.address() as { port: number };
    const { code, stderr } = await hubcast([...SMALL, "--addr", `127.0.0.1:${port}`]);
    expect(code).toBe(3);
    expect(stderr).toContain("gave a client no id");
  });

  it("the hub takes fewer clients", async () => {
    const hub = await startHub({ port: 0, clientsMax: 10 });
    closers.push(() => hub.close());
    const { code, stdout } = await hubcast([...SMALL, "--addr", hub.address, "--json"]);
    expect(code).toBe(4);
    expect(JSON.parse(stdout).error.code).toBe("tooManyClients");
  });

  it.each([
    [["--size", "10"], `"10" is out of range: 24B at least`],
    [["--size", "2MiB"], `"2MiB" is out of range: 1000KiB at most`],
    [["-c", "1"], "from 2 to 20000"],
    [["--chaos", "2"], "not a number from 0 to 0.9"],
    [["-c", "2", "--chaos", "0.5"], "chaos is 0.5"],
    [["-i", "soon"], "not a duration"],
    [["--addr", "a:b:c"], "not the address"],
    [["--port", "0"], "no port to connect to"],
    [["--tls-ca", "/nowhere/at/all.pem"], "cannot read --tls-ca"],
    [["--report", "/nowhere/at/all.html"], "cannot write"],
  ])("it is called with %j", async (args, said) => {
    const { code, stderr } = await hubcast(["hub", "simulate", ...args]);
    expect(stderr).toContain(said);
    expect(code).toBe(2);
  });
});

describe("hub simulate leaves no process behind when it is stopped by", () => {
  it.each([
    ["SIGINT", 130],
    ["SIGTERM", null],
    ["SIGKILL", null],
  ] as const)("%s", async (signal, code) => {
    const cli = new Cli(["hub", "simulate", "-c", "10", "-n", "100000", "-i", "10", "--workers", "2"]);
    await cli.says(/deliveries/, "stderr");
    const children = descendants(cli.pid);
    expect(children).toHaveLength(3);
    cli.kill(signal);
    expect((await cli.ended()).code).toBe(code);
    await eventually(() => !children.some(isAlive));
  });
});
