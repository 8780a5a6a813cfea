import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../../fixtures/eventually.js";
import { NatsServer, natsMissing } from "../../fixtures/nats-server.js";
import { agreed, meshed } from "../../fixtures/nodes.js";
import { NatsNodes, textsOf } from "./ground.js";

describe.skipIf(natsMissing)("while NATS is away", () => {
  const dir = mkdtempSync(join(tmpdir(), "hubcast-nats-away-"));
  let server: NatsServer;

  beforeEach(async () => {
    server = await NatsServer.start();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  test("a node in memory refuses posts, and takes them again when it is back", async () => {
    await using nodes = new NatsNodes(server);
    const node = await nodes.start();
    await node.post({ id: "before", raw: "before" });
    await server.stop();
    await eventually(async () => (await node.status()).reasons.includes("natsAway"));
    await expect(node.post({ id: "away", raw: "away" })).rejects.toMatchObject({
      code: "natsAway",
      httpStatus: 503,
      suggestions: [expect.stringContaining("--data-dir")],
    });
    expect(await textsOf(node)).toEqual(["before"]);
    await server.restart();
    await eventually(async () => (await node.post({ id: "away", raw: "away" })).status === "accepted");
    expect(await textsOf(node)).toEqual(["away", "before"]);
    expect((await node.status()).reasons).toEqual([]);
  });

  test("a node with a data directory keeps posts, and publishes them when it is back", async () => {
    await using nodes = new NatsNodes(server);
    const keeper = await nodes.start({ dataDir: join(dir, "keeper") });
    const other = await nodes.start();
    await keeper.post({ id: "before", raw: "before" });
    await agreed([keeper, other], 1);
    await server.stop();
    await eventually(async () => (await keeper.status()).reasons.includes("natsAway"));
    const { status } = await keeper.post({ id: "kept", raw: "kept" });
    expect(status).toBe("accepted");
    await server.restart();
    await agreed([keeper, other], 2, 20_000);
    await eventually(async () => (await keeper.status()).state === "ready");
  });

  test("a server that is frozen is told of as soon as it owes an answer, before the connection counts as lost", async () => {
    await using nodes = new NatsNodes(server);
    const node = await nodes.start();
    process.kill(server.pid, "SIGSTOP");
    // Each of its threads stops by itself: one that still runs would take the post.
    await eventually(() => /\) [Tt] /.test(readFileSync(`/proc/${server.pid}/stat`, "utf8")));
    const posted = node.post({ id: "a", raw: "a" });
    await eventually(async () =>
      (await node.status()).details.some(({ message }) => message === "JetStream does not answer"),
    );
    process.kill(server.pid, "SIGCONT");
    expect((await posted).status).toBe("accepted");
    await eventually(async () => (await node.status()).state === "ready");
  });

  test("a node closes, with a write of its record unanswered, and leaves no rejected promise behind", async () => {
    const rejected: unknown[] = [];
    const note = (reason: unknown) => rejected.push(reason);
    process.on("unhandledRejection", note);
    try {
      await using nodes = new NatsNodes(server);
      const node = await nodes.start();
      await eventually(async () => {
        const { state } = await nodes.manage((jsm) => jsm.streams.info(`KV_${nodes.stream}`));
        return state.messages > 0;
      });
      process.kill(server.pid, "SIGSTOP");
      await eventually(
        async () =>
          (await node.status()).details.some(({ message }) => message === "the connection to NATS was lost"),
        20_000,
      );
      await node.close();
      // Node tells of rejected promises when all that waits to run has run.
      await new Promise((resolve) => setImmediate(resolve));
      expect(rejected).toEqual([]);
    } finally {
      process.off("unhandledRejection", note);
    }
  });

  test("a node starts, serves what it has, says why it is not ready, keeps posts, and is there when NATS is", async () => {
    await using nodes = new NatsNodes(server);
    const dataDir = join(dir, "early");
    const before = await nodes.start({ dataDir });
    await before.post({ id: "before", raw: "before" });
    await before.close();
    await server.stop();
    const node = await nodes.start({ dataDir, http: { port: 0 } });
    expect(node.id).toBe(before.id);
    expect(await textsOf(node)).toEqual(["before"]);
    expect(await node.status()).toMatchObject({ state: "degraded", reasons: ["natsAway"], peers: 0 });
    expect((await fetch(`${node.url}/readyz`)).status).toBe(503);
    expect(await (await fetch(`${node.url}/metrics`)).text()).toMatch(/^hubcast_ready 0$/m);
    expect((await node.post({ id: "kept", raw: "kept" })).status).toBe("accepted");
    const memory = await nodes.start();
    await expect(memory.post({ id: "lost", raw: "lost" })).rejects.toMatchObject({ code: "natsAway" });
    await server.restart();
    await meshed([node, memory]);
    await agreed([node, memory], 2);
    expect((await fetch(`${node.url}/readyz`)).status).toBe(200);
  });

  test("what was kept is published by the next start, too", async () => {
    await using nodes = new NatsNodes(server);
    const dataDir = join(dir, "next");
    const before = await nodes.start({ dataDir });
    await server.stop();
    await eventually(async () => (await before.status()).reasons.includes("natsAway"));
    for (const id of ["a", "b", "c"]) await before.post({ id, raw: id });
    await before.close();
    await server.restart();
    const after = await nodes.start({ dataDir });
    await eventually(async () => {
      const { state } = await nodes.manage((jsm) => jsm.streams.info(nodes.stream));
      return state.messages > 0;
    });
    await after.close();
    // Only the stream can tell it.
    const later = await nodes.start();
    await eventually(async () => (await textsOf(later)).join() === "a,b,c");
    // It is owed no more: nothing is published twice.
    const { state } = await nodes.manage((jsm) => jsm.streams.info(nodes.stream));
    await (await nodes.start({ dataDir })).close();
    const again = await nodes.manage((jsm) => jsm.streams.info(nodes.stream));
    expect(again.state.last_seq).toBe(state.last_seq);
  });
});
