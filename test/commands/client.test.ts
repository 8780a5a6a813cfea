import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { nodeStatus } from "../fixtures/node-answers.js";
import { Cli, hubcast } from "./cli.js";
import { type Call, fakeNode } from "./fake-node.js";

const directory = mkdtempSync(join(tmpdir(), "hubcast-cli-"));

const POSTED = {
  id: "notice-1",
  digest: "ab".repeat(32),
  visible: "ab".repeat(32),
  timestampMs: 1_700_000_000_000,
  status: "accepted",
};

function posts(result: object = POSTED) {
  return fakeNode(({ path, method }) =>
    path === "/v1/items" && method === "POST" ? { status: 201, body: result } : { body: STATUS },
  );
}

const STATUS = nodeStatus({
  cluster: "hubcast",
  items: 3,
  hidden: 1,
  posted: 3,
  bytes: 2048,
  fingerprint: "0f".repeat(16),
  fingerprintSinceMs: 1_700_000_000_000,
  peers: 2,
  links: 2,
  members: 3,
  peerAddresses: ["/ip4/127.0.0.1/tcp/4001"],
});

function posted(calls: readonly Call[]): { id?: string; raw: string } {
  return JSON.parse(calls.find(({ method }) => method === "POST")!.body);
}

describe("broadcast post", () => {
  it("posts its argument and prints the id", async () => {
    await using node = await posts();
    const { stdout, stderr, code } = await hubcast([
      "broadcast",
      "post",
      "döner",
      "--id",
      "notice-1",
      "--url",
      node.url,
    ]);
    expect(posted(node.calls)).toMatchObject({ id: "notice-1", raw: "döner" });
    expect([stdout, stderr, code]).toEqual(["notice-1\n", "", 0]);
  });

  it("prints the result of the node with --json", async () => {
    await using node = await posts();
    const { stdout } = await hubcast(["broadcast", "post", "x", "--json", "--url", node.url]);
    expect(JSON.parse(stdout)).toEqual(POSTED);
  });

  it.each([
    ["standard input, named by -", ["-"]],
    ["standard input, when nothing is named", []],
  ])("takes %s, byte for byte", async (_what, args) => {
    await using node = await posts();
    const { code } = await hubcast(["broadcast", "post", ...args, "--url", node.url], {
      input: "two\nlines\n",
    });
    expect([posted(node.calls).raw, code]).toEqual(["two\nlines\n", 0]);
  });

  it("takes a file", async () => {
    await using node = await posts();
    const file = join(directory, "notice.txt");
    writeFileSync(file, "\ufefffrom a file\n");
    await hubcast(["broadcast", "post", "--file", file, "--url", node.url]);
    expect(posted(node.calls).raw).toBe("\ufefffrom a file\n");
  });

  it("takes exactly 1,000,000 bytes", async () => {
    await using node = await posts();
    const { code } = await hubcast(["broadcast", "post", "--url", node.url], {
      input: "a".repeat(1_000_000),
    });
    expect([posted(node.calls).raw.length, code]).toEqual([1_000_000, 0]);
  });

  it.each([
    ["nothing", Buffer.alloc(0), /standard input is empty/, 4],
    ["a NUL byte", Buffer.from("a\0b"), /looks binary: it has a NUL byte\n +Items are text/, 4],
    ["bytes that are no UTF-8", Buffer.from([0x61, 0xff]), /looks binary: it is not valid UTF-8/, 4],
    ["1,000,001 bytes", Buffer.alloc(1_000_001, "a"), /has more than 1000000 bytes, the limit of an item/, 4],
  ])("refuses %s without asking a node", async (_what, input, said, exitCode) => {
    await using node = await posts();
    const { stdout, stderr, code } = await hubcast(["broadcast", "post", "--url", node.url], { input });
    expect(stderr).toMatch(said);
    expect([stdout, code, node.calls.length]).toEqual(["", exitCode, 0]);
  });

  it("refuses a file that is not there, and a text beside a file", async () => {
    const missing = await hubcast(["broadcast", "post", "--file", join(directory, "none")]);
    expect([missing.stderr, missing.code]).toEqual([expect.stringContaining("cannot read"), 2]);
    const both = await hubcast(["broadcast", "post", "text", "--file", join(directory, "none")]);
    expect([both.stderr, both.code]).toEqual([expect.stringContaining("both given"), 2]);
  });

  it("says who holds the item", async () => {
    const holders = [{ id: "n2", name: "hall", afterMs: 7 }];
    await using node = await posts({
      ...POSTED,
      receipt: { of: 1, complete: true, holders, missing: [], refused: [] },
    });
    const { stdout, stderr, code } = await hubcast([
      "broadcast",
      "post",
      "x",
      "--wait",
      "1",
      "--url",
      node.url,
    ]);
    expect([stdout, stderr, code]).toEqual(["notice-1\n", "held by hall after 7 ms\n", 0]);
    expect(node.calls.find(({ method }) => method === "POST")!.query.get("wait")).toBe("1");
  });

  it.each([
    ["missing: hall", { of: 1, missing: [{ id: "n2", name: "hall" }], refused: [] }],
    ["refused by policy: hall", { of: 1, missing: [], refused: [{ id: "n2", name: "hall" }] }],
    ["no other node is connected", { of: 0, alone: true, missing: [], refused: [] }],
    ["no more nodes are connected", { of: 1, missing: [], refused: [] }],
  ])("ends with 5 at the deadline, still prints the id, and says why: %s", async (why, part) => {
    const receipt = { complete: false, holders: [], ...part };
    await using node = await posts({ ...POSTED, receipt });
    const args = ["broadcast", "post", "x", "--wait", "all", "--timeout", "100ms", "--url", node.url];
    const human = await hubcast(args);
    expect(human).toMatchObject({
      stdout: "notice-1\n",
      stderr: expect.stringContaining(why),
      code: 5,
    });
    const json = await hubcast([...args, "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({
      id: "notice-1",
      receipt,
      error: { code: "deadline", exitCode: 5 },
    });
    expect(json.code).toBe(5);
  });

  it("sends the token of HUBCAST_TOKEN, or of --token-file", async () => {
    await using node = await posts();
    await hubcast(["broadcast", "post", "x", "--url", node.url], { env: { HUBCAST_TOKEN: "secret" } });
    const file = join(directory, "token");
    writeFileSync(file, "another post\n");
    await hubcast(["broadcast", "post", "x", "--url", node.url, "--token-file", file]);
    const sent = new Set(
      node.calls.filter(({ method }) => method === "POST").map((call) => call.authorization),
    );
    expect([...sent]).toEqual(["Bearer secret", "Bearer another"]);
  });
});

describe("a node that cannot be used", () => {
  it("exits with 3 when nothing answers at --url", async () => {
    const { stderr, code } = await hubcast(["broadcast", "list", "--url", await deadUrl()]);
    expect(stderr).toMatch(/^error: /);
    expect(code).toBe(3);
  });

  it("says that what hangs up, as a hub does, is no node; and that a node has died when it has", async () => {
    const server = createServer((socket) => socket.once("data", () => socket.destroy())).listen(
      0,
      "127.0.0.1",
    );
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const hub = await hubcast(["broadcast", "post", "x", "--id", "x", "--url", url]);
    expect(hub).toMatchObject({ code: 3, stdout: "" });
    expect(hub.stderr).toContain(`what answers at ${url} is not a hubcast node (not HTTP)`);
    server.close();
    await using node = await fakeNode(({ method }) =>
      method === "POST"
        ? { type: "application/json", stream: (response) => response.destroy() }
        : { body: STATUS },
    );
    const dead = await hubcast(["broadcast", "post", "x", "--id", "x", "--url", node.url]);
    expect(dead.stderr).toContain(`${node.url} closed the connection before its answer was complete`);
  });

  it("says that an answer is the node's fault, not a bug of ours", async () => {
    await using node = await fakeNode(({ path }) => ({
      body: path === "/v1/status" ? { ...STATUS, gossip: 7 } : { items: [{ id: {}, raw: 7 }] },
    }));
    for (const [command, what] of [
      ["status", "a node's status: gossip is number, not an object"],
      ["list", "a page of items: items[0].id is object, not a text"],
    ]) {
      const { stderr, code } = await hubcast(["broadcast", command!, "--url", node.url]);
      expect(stderr).toContain(`error: the node at ${node.url} answered something that is not ${what}\n`);
      expect([stderr.includes("bug"), code]).toEqual([false, 3]);
    }
  });

  it("exits with 3 when the node itself fails", async () => {
    const problem = { code: "bug", detail: "The request could not be carried out." };
    await using node = await fakeNode(({ method }) =>
      method === "POST" ? { status: 500, type: "application/problem+json", body: problem } : { body: STATUS },
    );
    const { stderr, code } = await hubcast(["broadcast", "post", "x", "--url", node.url]);
    expect([stderr, code]).toEqual([
      expect.stringContaining(`the node at ${node.url} failed at this call`),
      3,
    ]);
  });

  it("exits with 4 and the node's words when it refuses", async () => {
    const problem = {
      type: "about:blank",
      title: "Conflict",
      status: 409,
      code: "conflict",
      detail: "the id is held",
    };
    await using node = await fakeNode(({ method }) =>
      method === "POST" ? { status: 409, type: "application/problem+json", body: problem } : { body: STATUS },
    );
    const { stdout, code } = await hubcast(["broadcast", "post", "x", "--json", "--url", node.url]);
    expect(JSON.parse(stdout).error).toMatchObject({ code: "conflict", exitCode: 4 });
    expect(code).toBe(4);
  });
});

async function deadUrl(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return `http://127.0.0.1:${port}`;
}

describe("broadcast status and peers", () => {
  it("shows the status as a table, or as the node's document", async () => {
    await using node = await fakeNode(() => ({ body: STATUS }));
    const human = await hubcast(["broadcast", "status", "--url", node.url]);
    expect(human.stdout).toMatch(/^name +kitchen\n/);
    expect(human.stdout).toMatch(/items +3, 1 hidden behind another of the same id, 2 KiB, kept 24 h/);
    const json = await hubcast(["broadcast", "status", "--json", "--url", node.url]);
    expect(JSON.parse(json.stdout)).toEqual(STATUS);
  });
});

describe("broadcast watch", () => {
  it("ends with 130 at Ctrl-C", async () => {
    await using node = await fakeNode(() => ({
      type: "text/event-stream",
      body: ": hello\n\n",
      stream: () => {},
    }));
    const cli = new Cli(["broadcast", "watch", "--url", node.url]);
    await expect.poll(() => node.calls.length, { timeout: 10_000 }).toBeGreaterThan(0);
    cli.kill("SIGINT");
    expect(await cli.ended()).toMatchObject({ stdout: "", code: 130, signal: null });
  });
});
