import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Cli, type Ended, hubcast } from "../commands/cli.js";
import { fakeNode } from "../commands/fake-node.js";
import { FakeServedNode } from "../fixtures/fake-served-node.js";
import { importsOf, readSources } from "./architecture.js";

/** Says on stderr which files a command loads, and at its end which parts of Node. */
const TRACE = `data:text/javascript,
  import { registerHooks } from "node:module";
  registerHooks({ load: (url, context, next) => { process._rawDebug("loads " + url); return next(url, context); } });
  process.on("exit", () => {
    for (const part of process.moduleLoadList)
      if (part.startsWith("NativeModule ")) process._rawDebug("loads " + part.replace("NativeModule ", "node:"));
  });
`.replaceAll("\n", "");

async function loaded(args: readonly string[]): Promise<string[]> {
  return loadedIn(await hubcast(args, { nodeArgs: ["--import", TRACE] }));
}

function loadedIn({ stderr }: Ended): string[] {
  return [...stderr.matchAll(/^loads (.*)$/gm)].map((match) => match[1]!);
}

/** Parts of Node that libraries in the bundle could load and that no short command needs: 25 ms in all. */
const HEAVY_PARTS =
  /^node:(http|http2|tls|crypto|assert|fs\/promises|readline|perf_hooks|sqlite|worker_threads|child_process)$/;

it("node:sqlite is imported by the storage thread, and for the lock of a state file", () => {
  const users = readSources(["src"]).filter(({ text }) =>
    importsOf(text).some(({ specifier }) => specifier === "node:sqlite"),
  );
  expect(users.map(({ path }) => path)).toEqual([
    "src/cli/exec/state-file.ts",
    "src/node/storage/sqlite-file.ts",
    "src/node/storage/sqlite-thread.ts",
  ]);
});

describe("a command loads only what it needs", () => {
  it.each([
    { words: ["list"], answer: { items: [] } },
    {
      words: ["post", "x"],
      answer: { id: "1", digest: "00", visible: "00", timestampMs: 1, status: "accepted" },
    },
  ])("broadcast $words.0: no Ink, no libp2p, no fastify, no multicast DNS", async ({ words, answer }) => {
    await using node = await fakeNode(() => ({ body: answer }));
    const urls = await loaded(["broadcast", ...words, "--url", node.url]);
    expect(urls).toContain("node:net");
    expect(urls.filter((url) => HEAVY_PARTS.test(url))).toEqual([]);
    // Each file costs half a millisecond.
    const files = urls
      .filter((url) => url.startsWith("file:"))
      .map((url) => url.replace(/^.*\/(bin|dist)\//, "$1/"));
    expect(files.sort()).toEqual([
      "bin/run.js",
      ...[
        "dist/chunks/_undici.js",
        "dist/chunks/command.js",
        "dist/chunks/core.js",
        "dist/chunks/node-client.js",
      ],
      ...["dist/chunks/rolldown-runtime.js", "dist/chunks/undici.js"],
      ...["dist/cli/main.js", `dist/commands/broadcast/${words[0]}.js`],
    ]);
    // A server that answers the call is a node: the command sends no other request first.
    expect(node.calls.map(({ path }) => path)).toEqual(["/v1/items"]);
  });

  it("on a machine without the SIMD of WebAssembly: another parser of HTTP, which works", async () => {
    await using node = await fakeNode(() => ({ body: { items: [] } }));
    const ended = await hubcast(["broadcast", "list", "--url", node.url], {
      env: { UNDICI_NO_WASM_SIMD: "1" },
      nodeArgs: ["--import", TRACE],
    });
    expect(ended.code).toBe(0);
    expect(loadedIn(ended).filter((url) => url.endsWith("/dist/packages/llhttp-wasm.js"))).toHaveLength(1);
  });

  it("a hub: no TLS, no cryptography, no HTTP", async () => {
    const hub = new Cli(["hub", "start", "--port", "0", "--mdns-interface", "127.0.0.1"], {
      nodeArgs: ["--import", TRACE],
    });
    await hub.says(/is up/);
    hub.kill("SIGTERM");
    const urls = loadedIn(await hub.ended());
    expect(urls).toContain("node:dgram");
    // Node's own sockets load the rest.
    const own = /^node:(perf_hooks|child_process)$/;
    expect(urls.filter((url) => HEAVY_PARTS.test(url) && !own.test(url))).toEqual([]);
  });

  it("top without its dashboard: no Ink", async () => {
    await using node = await fakeNode(({ path }) => ({ body: path === "/v1/status" ? STATUS : [] }));
    const urls = await loaded(["top", "--once", "--url", node.url, "--mdns-interface", "127.0.0.1"]);
    const heavy = ["ink", "libp2p", "fastify", "nats"].map(
      (name) => new URL(`../../dist/chunks/${name}.js`, import.meta.url),
    );
    expect(heavy.filter((url) => !existsSync(url))).toEqual([]);
    expect(urls.filter((url) => heavy.some(({ href }) => url === href))).toEqual([]);
  });
});

const STATUS = new FakeServedNode().statusNow();
