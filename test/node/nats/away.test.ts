import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../../fixtures/eventually.js";
import { NatsServer, natsMissing } from "../../fixtures/nats-server.js";
import { agreed } from "../../fixtures/nodes.js";
import { NatsNodes, textsOf } from "./ground.js";

describe.skipIf(natsMissing)("while NATS is away", () => {
  const dir = mkdtempSync(join(tmpdir(), "hubcast-nats-away-"));
  let server: NatsServer;

  beforeEach(async () => {
    server = await NatsServer.start();
  });
  afterEach(() => server[Symbol.asyncDispose]());
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

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

  test("killed and started again under posts: what was acknowledged is everywhere", async () => {
    await using nodes = new NatsNodes(server);
    const [one, two] = [await nodes.start(), await nodes.start({ dataDir: join(dir, "under") })];
    const accepted = new Set<string>();
    const refused: string[] = [];
    let stopping = false;
    const poster = async (node: typeof one, name: string) => {
      for (let n = 0; !stopping; n++) {
        const raw = `${name}-${n}`;
        await node.post({ id: raw, raw }).then(
          () => accepted.add(raw),
          ({ code }: { code: string }) => refused.push(code),
        );
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const posting = [poster(one, "one"), poster(two, "two")];
    for (let round = 1; round <= 2; round++) {
      const enough = accepted.size + 50;
      await eventually(() => accepted.size >= enough, 20_000);
      await server.stop();
      await eventually(async () => (await one.status()).reasons.includes("natsAway"));
      await server.restart();
    }
    const enough = accepted.size + 50;
    await eventually(
      () => [...accepted].some((raw) => raw.startsWith("one")) && accepted.size >= enough,
      20_000,
    );
    stopping = true;
    await Promise.all(posting);
    expect(new Set(refused)).toEqual(new Set(refused.length > 0 ? ["natsAway"] : []));
    await eventually(async () => {
      const texts = [await textsOf(one), await textsOf(two)] as const;
      return texts[0].join() === texts[1].join() && [...accepted].every((raw) => texts[0].includes(raw));
    }, 20_000);
  }, 90_000);
});
