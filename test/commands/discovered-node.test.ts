import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../fixtures/eventually.js";
import { FakeServedNode } from "../fixtures/fake-served-node.js";
import { LineProcess } from "../fixtures/line-process.js";
import { type Ended, hubcast } from "./cli.js";
import { RUN } from "./terminal.js";

const PEER = fileURLToPath(new URL("../fixtures/dnssd-peer.js", import.meta.url));
const namespace = `hc-cli-${process.pid}`;
const inside = ["ip", "netns", "exec", namespace] as const;

/**
 * A node as far as `status` and `post --lines` can tell, on the port that follows; prints the token of each call, and
 * the lines of each post. With "once" it is gone after the first post.
 */
const API = `
  const [port, life] = process.argv.slice(1);
  const status = ${JSON.stringify({ ...new FakeServedNode().statusNow(), name: "kitchen" })};
  const { text } = require("node:stream/consumers");
  require("node:http").createServer(async (request, response) => {
    const say = (event, fields) => console.log(JSON.stringify({ event, ...fields }));
    say("call", { authorization: request.headers.authorization ?? null });
    if (request.method === "GET") {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(status));
      return;
    }
    const drafts = (await text(request)).trim().split("\\n").map((line) => JSON.parse(line));
    say("post", { lines: drafts.map(({ raw }) => raw).join() });
    response.setHeader("content-type", "application/x-ndjson");
    response.end(drafts.map(({ raw }) => JSON.stringify({ id: raw, status: "accepted" }) + "\\n").join(""));
    if (life === "once") response.on("close", () => process.exit());
  }).listen(Number(port), "127.0.0.1", () => console.log(JSON.stringify({ event: "listening" })));
  process.stdin.resume().on("end", () => process.exit());
`;

async function served(port: number, life = ""): Promise<LineProcess> {
  const api = new LineProcess([...inside, process.execPath, "-e", API, String(port), life]);
  await api.line({ event: "listening" });
  return api;
}

async function advertised(name: string, id: string, http: number): Promise<LineProcess> {
  const service = JSON.stringify({
    type: "_hubcast._tcp",
    name,
    id,
    port: 4001,
    txt: { http: String(http) },
  });
  const peer = new LineProcess([...inside, process.execPath, PEER, service, "127.0.0.1"]);
  await peer.line({ event: "ready" });
  return peer;
}

function status(): Promise<Ended> {
  return hubcast(["broadcast", "status", "--json"], { under: inside, env: { HUBCAST_TOKEN: "secret" } });
}

describe.skipIf(!mayMakeNamespaces())("without --url, when nothing listens at the default address", () => {
  beforeAll(() => {
    execFileSync("ip", ["netns", "add", namespace]);
    for (const change of ["link set lo up", "link set lo multicast on", "route add 224.0.0.0/4 dev lo"]) {
      execFileSync("ip", ["-n", namespace, ...change.split(" ")]);
    }
  });
  afterAll(() => {
    execFileSync("ip", ["netns", "del", namespace]);
  });

  it("says so when no node is found", async () => {
    const { stdout, code } = await status();
    expect(JSON.parse(stdout).error).toMatchObject({
      code: "unreachable",
      message: "nothing listens at http://127.0.0.1:8080, and no node was found on this machine",
    });
    expect(code).toBe(3);
  });

  it("uses the one node of this machine, names it, and sends it no token", async () => {
    await using api = await served(9000);
    await using _kitchen = await advertised("kitchen", "1", 9000);
    const { stdout, stderr, code } = await status();
    expect(stderr).toBe("nothing listens at http://127.0.0.1:8080; using kitchen at http://127.0.0.1:9000\n");
    expect([JSON.parse(stdout).name, code]).toEqual(["kitchen", 0]);
    const calls = api.lines.filter(({ event }) => event === "call");
    expect(new Set(calls.map(({ authorization }) => authorization))).toEqual(new Set([null]));
  });

  it("posts every line on the node that it finds", async () => {
    await using api = await served(9000);
    await using _kitchen = await advertised("kitchen", "1", 9000);
    const { stdout, code } = await hubcast(["broadcast", "post", "--lines"], {
      under: inside,
      input: "one\ntwo\n",
    });
    expect([stdout, code]).toEqual(["one\ntwo\n", 0]);
    await api.line({ event: "post", lines: "one,two" });
  });

  it("stays with the node at the default address once that has answered", async () => {
    await using first = await served(8080, "once");
    await using other = await served(9000);
    await using _kitchen = await advertised("kitchen", "1", 9000);
    const flags = ["broadcast", "post", "--lines", "--json"];
    await using post = new LineProcess([...inside, process.execPath, RUN, ...flags]);
    post.child.stdin!.write("one\n");
    await post.line({ type: "posted", id: "one" });
    await eventually(() => first.child.exitCode === 0);
    post.child.stdin!.write("two\n");
    await eventually(() => post.child.exitCode !== null);
    expect(post.child.exitCode).toBe(3);
    expect(post.lines.at(-1)).toMatchObject({
      error: { message: expect.stringMatching(/8080.*; nobody knows what became of line 2 and those/) },
    });
    expect(other.lines).toEqual([{ event: "listening" }]);
  });

  it("lists the nodes when there are several", async () => {
    await using _kitchen = await advertised("kitchen", "1", 9000);
    await using _hall = await advertised("hall", "2", 9001);
    const { stdout, code } = await status();
    expect(JSON.parse(stdout).error).toMatchObject({
      code: "ambiguousNode",
      suggestions: expect.arrayContaining([
        "kitchen: --url http://127.0.0.1:9000",
        "hall: --url http://127.0.0.1:9001",
      ]),
    });
    expect(code).toBe(2);
  });

  it("a command of hubs uses the one hub of this machine, and names it; top is content with it", async () => {
    const flags = ["--port", "9555", "--name", "desk", "--mdns-interface", "127.0.0.1", "--json"];
    await using hub = new LineProcess([...inside, process.execPath, RUN, "hub", "start", ...flags]);
    await hub.line({ type: "ready" });
    const who = await eventually(async () => {
      const ended = await hubcast(["hub", "who", "--json"], { under: inside });
      return ended.code === 0 ? ended : undefined;
    });
    expect(who.stderr).toMatch(/^nothing listens at 127.0.0.1:9999; using desk at 127.0.0.1:9555\n/);
    const named = await hubcast(["hub", "who", "--addr", "127.0.0.1:9999"], { under: inside });
    expect(named).toMatchObject({ code: 3, stderr: expect.stringContaining("(connection refused)") });
    const top = await hubcast(["top", "--once"], { under: inside });
    expect(top).toMatchObject({ code: 0, stdout: expect.stringContaining("hub desk") });
  });
});

function mayMakeNamespaces(): boolean {
  try {
    execFileSync("ip", ["netns", "add", `${namespace}-try`], { stdio: "ignore" });
    execFileSync("ip", ["netns", "del", `${namespace}-try`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
