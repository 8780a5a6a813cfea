import { describe, expect, it } from "vitest";
import { hubcast } from "../commands/cli.js";
import { fakeNode } from "../commands/fake-node.js";
import { FakeService } from "../fixtures/fake-service.js";
import { importsOf, readSources } from "./architecture.js";

/** Says on stderr which modules a command loads. */
const TRACE = `data:text/javascript,
  import { registerHooks } from "node:module";
  registerHooks({ load: (url, context, next) => { process._rawDebug("loads " + url); return next(url, context); } });
`.replaceAll("\n", "");

async function loaded(args: readonly string[]): Promise<string[]> {
  const { stderr } = await hubcast(args, { nodeArgs: ["--import", TRACE] });
  return [...stderr.matchAll(/^loads (.*)$/gm)].map((match) => match[1]!);
}

/** Parts of Node that libraries in the bundle could load and that no short command needs: 25 ms in all. */
const HEAVY_PARTS =
  /^node:(http2|tls|crypto|readline|perf_hooks|sqlite|worker_threads|child_process|os|fs\/promises)$|^(os|tty)$/;

const HEAVY =
  /node_modules\/(ink|react|yoga-layout|libp2p|@libp2p|fastify|multicast-dns|undici|prom-client|string-width|@nats-io)\//;

it("node:sqlite is imported by the storage thread, and for the lock of a state file", () => {
  const users = readSources(["src"]).filter(({ text }) =>
    importsOf(text).some(({ specifier }) => specifier === "node:sqlite"),
  );
  expect(users.map(({ path }) => path)).toEqual([
    "src/cli/exec/file-lock.ts",
    "src/node/storage/sqlite-file.ts",
    "src/node/storage/sqlite-thread.ts",
  ]);
});

describe("a command loads only what it needs", () => {
  it("broadcast list: no Ink, no libp2p, no fastify, no multicast DNS", async () => {
    await using node = await fakeNode(() => ({ body: { items: [] } }));
    const urls = await loaded(["broadcast", "list", "--url", node.url]);
    expect(urls.some((url) => url.endsWith("/dist/cli/main.js"))).toBe(true);
    expect(urls.filter((url) => HEAVY.test(url) || url.includes("/dist/tui/"))).toEqual([]);
    expect(urls).toContain("node:http");
    expect(urls.filter((url) => HEAVY_PARTS.test(url))).toEqual([]);
    // Each file costs half a millisecond: run.js, main.js, the command, two large chunks and what they share.
    expect(urls.filter((url) => url.startsWith("file:")).length).toBeLessThanOrEqual(7);
    // A server that answers a list is a node: the command sends no other request first.
    expect(node.calls.map(({ path }) => path)).toEqual(["/v1/items"]);
  });

  it("top without its dashboard: no Ink", async () => {
    await using node = await fakeNode(({ path }) => ({ body: path === "/v1/status" ? STATUS : [] }));
    const urls = await loaded(["top", "--once", "--url", node.url, "--mdns-interface", "127.0.0.1"]);
    expect(urls.some((url) => url.includes("/dist/tui/"))).toBe(true);
    expect(urls.filter((url) => /node_modules\/(ink|react|yoga-layout|libp2p|fastify)\//.test(url))).toEqual(
      [],
    );
  });
});

const STATUS = new FakeService().status();
