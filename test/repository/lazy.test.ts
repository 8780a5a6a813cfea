import { describe, expect, it } from "vitest";
import { hubcast } from "../commands/cli.js";
import { fakeNode } from "../commands/fake-node.js";

/** Says on stderr which modules a command loads. */
const TRACE = `data:text/javascript,
  import { registerHooks } from "node:module";
  registerHooks({ load: (url, context, next) => { process._rawDebug("loads " + url); return next(url, context); } });
`.replaceAll("\n", "");

async function loaded(args: readonly string[]): Promise<string[]> {
  const { stderr } = await hubcast(args, { nodeArgs: ["--import", TRACE] });
  return [...stderr.matchAll(/^loads (file:.*)$/gm)].map((match) => match[1]!);
}

const HEAVY =
  /node_modules\/(ink|react|yoga-layout|libp2p|@libp2p|fastify|multicast-dns|undici|lmdb|prom-client|@nats-io)\//;

describe("a command loads only what it needs", () => {
  it("broadcast list: no Ink, no libp2p, no fastify, no multicast DNS", async () => {
    await using node = await fakeNode(({ path }) => ({
      body: path === "/v1/status" ? STATUS : { items: [] },
    }));
    const urls = await loaded(["broadcast", "list", "--url", node.url]);
    expect(urls.some((url) => url.endsWith("/dist/cli/main.js"))).toBe(true);
    expect(urls.filter((url) => HEAVY.test(url) || url.includes("/dist/tui/"))).toEqual([]);
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

const STATUS = {
  ...{
    name: "n",
    id: "1",
    cluster: "default",
    version: "0.1.0",
    fingerprint: "00",
    state: "ready",
    reasons: [],
  },
  sync: { rounds: 0, roundsFailed: 0 },
  gossip: { itemsSent: 0, itemsReceived: 0, messagesSent: 0 },
};
