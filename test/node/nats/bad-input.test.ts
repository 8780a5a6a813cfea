import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { NodeOptions } from "../../../src/node/index.js";
import { startNode } from "../../../src/node/index.js";
import { NatsServer, natsMissing } from "../../fixtures/nats-server.js";
import { NatsNodes } from "./ground.js";

describe("options that do not fit the engine NATS", () => {
  const engine = "nats://127.0.0.1:1";
  test.each([
    [{ engine: "redis://127.0.0.1" }, "there is no engine"],
    [{ engine: "nats://" }, "names no NATS server"],
    [{ engine: "nats://me:secret@127.0.0.1" }, "carries a user or a password"],
    [{ engine, clusterKey: new Uint8Array(32) }, "a cluster key has no effect"],
    [{ engine, allowPeers: [] }, "a list of allowed peers has no effect"],
    [{ engine, peers: ["127.0.0.1:4001"] }, "an address of a peer has no effect"],
    [{ engine, nats: { replicas: 0 } }, "nats.replicas is 0"],
    [{ engine: "libp2p", nats: { replicas: 1 } }, "the engine is libp2p"],
  ] satisfies [NodeOptions, string][])("%j", async (options, message) => {
    await expect(startNode(options)).rejects.toMatchObject({
      code: "invalidOption",
      message: expect.stringContaining(message),
    });
  });
});

describe.skipIf(natsMissing)("a node cannot start", () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  async function refusal(options: NodeOptions, at = server): Promise<{ code: string; text: string }> {
    await using nodes = new NatsNodes(at);
    const error = await nodes.start(options).then(
      () => undefined,
      (thrown) => thrown,
    );
    return { code: error?.code, text: [error?.message, ...(error?.suggestions ?? [])].join("\n") };
  }

  test("on a server without JetStream", async () => {
    await using bare = await NatsServer.start({ jetStream: false });
    const { code, text } = await refusal({}, bare);
    expect(code).toBe("natsNoJetStream");
    expect(text).toContain("nats-server -js");
  });

  test("with wrong credentials", async () => {
    await using closed = await NatsServer.start({ config: "authorization { user: me, password: secret }" });
    const { code, text } = await refusal({ nats: { credentials: "me:wrong" } }, closed);
    expect(code).toBe("natsRefused");
    expect(text).toContain("--nats-credentials");
    expect(text).not.toContain("wrong");
  });

  test("as a user who may not use JetStream", async () => {
    const config = `authorization { users: [{ user: me, password: secret, permissions: { publish: "x", subscribe: ">" } }] }`;
    await using closed = await NatsServer.start({ config });
    const { code, text } = await refusal({ nats: { credentials: "me:secret" } }, closed);
    expect(code).toBe("natsUnusable");
    expect(text).toMatch(/permission/i);
  });

  test("with more replicas than there are servers", async () => {
    const { code, text } = await refusal({ nats: { replicas: 3 } });
    expect(code).toBe("natsUnusable");
    expect(text).toContain("--nats-replicas");
  });

  test("on a server that takes only small messages", async () => {
    await using small = await NatsServer.start({ config: "max_payload: 65536" });
    const { code, text } = await refusal({}, small);
    expect(code).toBe("natsUnusable");
    expect(text).toContain("max_payload");
  });

  test("where another stream has its subjects", async () => {
    await using nodes = new NatsNodes(server);
    await nodes.manage((jsm) =>
      jsm.streams.add({ name: "other", subjects: [`hubcast.nodes.1.${nodes.cluster}.>`] }),
    );
    await expect(nodes.start()).rejects.toMatchObject({
      code: "natsUnusable",
      message: expect.stringContaining("overlap"),
    });
  });

  test("with another retention than the stream has, and the others run on", async () => {
    await using nodes = new NatsNodes(server);
    const node = await nodes.start({ retentionMs: 60_000 });
    await expect(nodes.start({ retentionMs: 120_000 })).rejects.toMatchObject({
      code: "natsStreamDiffers",
      message: expect.stringContaining("max_age is 60000 ms, this node asks for 120000 ms"),
      suggestions: [expect.stringContaining("--retention"), expect.stringContaining("nats stream rm")],
    });
    expect((await node.post({ raw: "still here" })).status).toBe("accepted");
  });

  test("where the stream forgets what is old to take what is new", async () => {
    await using nodes = new NatsNodes(server);
    await nodes.manage((jsm) =>
      jsm.streams.add({
        name: nodes.stream,
        subjects: [`hubcast.nodes.1.${nodes.cluster}.items.*`],
        max_age: 86_400_000 * 1_000_000,
        discard: "old",
      }),
    );
    await expect(nodes.start()).rejects.toMatchObject({
      code: "natsStreamDiffers",
      message: expect.stringContaining("discard is old, this node asks for new"),
    });
  });

  test("where the store of the server is full, but takes posts of others when there is room", async () => {
    await using tiny = await NatsServer.start({ storeMax: "100KB" });
    await using nodes = new NatsNodes(tiny);
    const node = await nodes.start();
    const codes = new Set<string>();
    for (let n = 0; n < 20; n++) {
      await node.post({ raw: `${n}`.repeat(10_000) }).catch(({ code }) => codes.add(code));
    }
    expect([...codes]).toEqual(["natsFull"]);
    expect((await node.status()).reasons).toEqual(["natsFull"]);
  });
});
