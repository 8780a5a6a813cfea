import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { StartedNode } from "../../src/node/index.js";
import { newSigningKey, publicKeyOf } from "../../src/node/keys.js";
import { eventually } from "../fixtures/eventually.js";
import { FakeServedNode } from "../fixtures/fake-served-node.js";
import { Nodes } from "../fixtures/nodes.js";
import { Cli, hubcast } from "./cli.js";
import { fakeNode } from "./fake-node.js";

const root = await mkdtemp(join(tmpdir(), "hubcast-lines-"));
const HTTP = { http: { port: 0 } };
const STATUS = new FakeServedNode().statusNow();
const RUN = fileURLToPath(new URL("../../bin/run.js", import.meta.url));

const post = (node: StartedNode, input: string | Buffer, ...flags: string[]) =>
  hubcast(["broadcast", "post", "--lines", "--url", node.url!, ...flags], { input, deadlineMs: 60_000 });

async function held(node: StartedNode): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const { id, raw } of node.list()) found.set(id, raw);
  return found;
}

describe("post --lines", () => {
  test("posts each line as it is, and prints the ids in the order of the lines", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start(HTTP);
    const lines = Array.from(
      { length: 5_000 },
      (_, index) => `${index} $(id) "'\\ é\t${"x".repeat(index % 300)}\r`,
    );
    const { stdout, stderr, code } = await post(node, lines.join("\n"));
    expect([stderr, code]).toEqual(["", 0]);
    const items = await held(node);
    expect(
      stdout
        .trim()
        .split("\n")
        .map((id) => items.get(id)),
    ).toEqual(lines);
  });

  test("lists a thousand lines that are posted in one moment in their order", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start(HTTP);
    const lines = Array.from({ length: 1_000 }, (_, index) => `${index}`);
    await post(node, lines.join("\n"));
    expect([...(await held(node)).values()]).toEqual(lines);
  });

  test("takes a file, a topic and a key", async () => {
    const pem = newSigningKey();
    writeFileSync(join(root, "key"), pem);
    writeFileSync(join(root, "text"), "one\ntwo\n");
    await using nodes = new Nodes();
    const node = await nodes.start({ ...HTTP, trust: [publicKeyOf(pem)!] });
    const flags = ["--file", join(root, "text"), "--topic", "log/app", "--sign-key", join(root, "key")];
    const { stdout, code } = await post(node, "", ...flags, "--json");
    const told = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const id = expect.stringMatching(/^log\/app\/[0-9a-f-]{36}$/);
    expect(told).toEqual([1, 2].map((line) => ({ type: "posted", line, id, status: "accepted" })));
    expect([[...(await held(node)).values()], code]).toEqual([["one", "two"], 0]);
  });

  test("names the lines that were not taken, posts the others, and exits with 4", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start(HTTP);
    const long = Buffer.alloc(1_000_001, "x");
    const largest = "y".repeat(1_000_000);
    const input = Buffer.concat([
      ...["one\n", "\n", "three\n", "\xff\n", "five\n"].map((text) => Buffer.from(text, "latin1")),
      ...[long, Buffer.from(`\n${largest}\neight`)],
    ]);
    const { stdout, stderr, code } = await post(node, input);
    expect([stdout.trim().split("\n").length, code]).toEqual([5, 4]);
    expect([...(await held(node)).values()].toSorted()).toEqual(["eight", "five", "one", "three", largest]);
    const named = [...stderr.matchAll(/^warning: line (\d+) was not taken: (\w+): /gm)];
    expect(named.map(([, line, why]) => `${line} ${why}`).toSorted()).toEqual([
      ...["2 invalidItem", "4 invalidItem", "6 tooLarge"],
    ]);
    expect(stderr).toMatch(/^warning: line 4 was not taken: invalidItem: it is not valid UTF-8$/m);
    expect(stderr).toMatch(/^warning: line 6 was not taken: tooLarge: it has more than 1000000 bytes/m);
    expect(stderr).toMatch(/^error: 3 of 8 lines were not taken; the first is line \d \(/m);
    const json = await post(node, "a\n\n", "--json");
    const documents = json.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(documents.map(({ type, line }) => [type, line])).toEqual(
      expect.arrayContaining([
        ["posted", 1],
        ["refused", 2],
      ]),
    );
    expect([documents.at(-1).error.code, json.code]).toEqual(["invalidItem", 4]);
  });

  test("posts all lines when nobody reads the ids, and keeps its exit code", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start(HTTP);
    const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index}`);
    const cli = new Cli(["broadcast", "post", "--lines", "--url", node.url!], {
      input: `${lines.join("\n")}\n\nlast\n`,
      deadlineMs: 60_000,
    });
    cli.hangUp();
    const { stderr, code } = await cli.ended();
    expect([stderr, code]).toEqual([expect.stringContaining("1 of 20002 lines was not taken"), 4]);
    expect((await node.status()).items).toBe(lines.length + 1);
  });

  test("posts a line as it comes, also after a long silence", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start(HTTP);
    const child = spawn(process.execPath, [RUN, "broadcast", "post", "--lines", "--url", node.url!]);
    let stdout = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    const ids = () => stdout.split("\n").length - 1;
    const closed = once(child, "close");
    child.stdin.write("one\ntw");
    await eventually(() => ids() === 1, 30_000);
    // The second waits for the first request to have ended, whenever that is.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    child.stdin.write("o\n");
    await eventually(() => ids() === 2, 30_000);
    child.stdin.end("three");
    expect(await closed).toEqual([0, null]);
    expect([...(await held(node)).values()]).toEqual(["one", "two", "three"]);
  });

  test("with --wait, each line is held by so many others, and told in the order of the lines", async () => {
    await using nodes = new Nodes();
    const mesh = await nodes.startMesh(3, HTTP);
    const lines = Array.from({ length: 2_000 }, (_, index) => `line ${index}`);
    const told = await post(mesh[0]!, lines.join("\n"), "--wait", "2", "--json");
    expect([told.stderr, told.code]).toEqual(["", 0]);
    const documents = told.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(documents.map(({ type, line }) => `${type} ${line}`)).toEqual(
      lines.map((_, index) => `posted ${index + 1}`),
    );
    for (const node of mesh) {
      const items = await held(node);
      expect(documents.map(({ id }) => items.get(id))).toEqual(lines);
    }
    expect(documents.every(({ receipt }) => receipt.complete && receipt.holders.length === 2)).toBe(true);
  });

  test("with --wait, lines that are late or refused are named: exit code 5, and 4 where one was refused", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start(HTTP);
    const late = await post(node, "one\ntwo\n", "--wait", "1", "--timeout", "200ms");
    expect([late.stdout.trim().split("\n").length, late.code]).toEqual([2, 5]);
    const named = [...late.stderr.matchAll(/^warning: line (\d) was not held in time: 0 other nodes/gm)];
    expect(named.map(([, line]) => line)).toEqual(["1", "2"]);
    expect(late.stderr).toMatch(/^error: 2 of 2 lines were not held in time; the first is line 1: 0 other/m);
    const json = await post(node, "one\n", "--wait", "1", "--timeout", "200ms", "--json");
    const [posted, last] = json.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect([posted.line, posted.receipt.complete, posted.error.code]).toEqual([1, false, "deadline"]);
    expect([last.error.code, json.code]).toEqual(["deadline", 5]);
    const refused = await post(node, "one\n\n\xff\nfour\n", "--wait", "1", "--timeout", "200ms");
    expect([refused.stdout.trim().split("\n").length, refused.code]).toEqual([3, 4]);
    expect(refused.stderr).toMatch(/^warning: line 2 was not taken: invalidItem: /m);
  });

  test("with --wait, says from which line on nobody knows when the node goes, though no line comes", async () => {
    await using node = await fakeNode(({ path }) =>
      path === "/v1/status" ? { body: STATUS } : { stream: (response) => response.destroy() },
    );
    const child = spawn(process.execPath, [
      RUN,
      "broadcast",
      "post",
      "--lines",
      "--url",
      node.url,
      "--wait",
      "1",
    ]);
    const [told, closed] = [text(child.stderr), once(child, "close")];
    child.stdin.write("one\ntwo\n");
    expect(await closed).toEqual([3, null]);
    expect(await told).toMatch(/nobody knows what became of line 1 and those behind it/);
    child.stdin.destroy();
  });

  test.each([
    [["-", "--lines", "--file", "x"], /RAW and --lines were both given/],
    [["text", "--lines"], /RAW and --lines were both given/],
    [["--lines", "--id", "x"], /--id/],
    [["--lines", "--timeout", "1s"], /--wait/],
  ])("%j is refused", async (flags, message) => {
    const { code, stderr } = await hubcast(["broadcast", "post", ...flags]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
  });

  test("of no input posts nothing, also where - names it", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start(HTTP);
    expect(await post(node, "", "-")).toMatchObject({ stdout: "", stderr: "", code: 0 });
    expect(await post(node, "")).toMatchObject({ stdout: "", stderr: "", code: 0 });
  });
});
