import { Kvm } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { BLOCK_IDS, BUCKET, IdLease } from "../../../src/hub/federation/nats.js";
import { connectNats } from "../../../src/runtime/nats.js";
import { NatsServer, natsMissing } from "../../fixtures/nats-server.js";

describe.skipIf(natsMissing)("ids", () => {
  let server: NatsServer;
  const connections: NatsConnection[] = [];

  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterEach(async () => {
    const [connection] = connections;
    if (connection !== undefined) await (await new Kvm(connection).open(BUCKET)).destroy();
    for (const one of connections.splice(0)) await one.close();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  async function hub(): Promise<IdLease> {
    const connection = await connectNats({ servers: [`127.0.0.1:${server.port}`], tls: false, name: "test" });
    connections.push(connection);
    return await IdLease.open(connection, 1);
  }

  async function write(value: string): Promise<void> {
    await (await new Kvm(connections[0]!).open(BUCKET)).put("next_id", value);
  }

  test("begin at 1, in blocks that follow one another", async () => {
    const lease = await hub();
    expect(await lease.lease(0)).toEqual({ first: 1, end: 1 + BLOCK_IDS });
    expect(await lease.lease(0)).toEqual({ first: 1 + BLOCK_IDS, end: 1 + 2 * BLOCK_IDS });
    // A hub that starts again gets a new block.
    expect(await (await hub()).lease(0)).toEqual({ first: 1 + 2 * BLOCK_IDS, end: 1 + 3 * BLOCK_IDS });
  });

  test("are leased by many hubs at once, each to one of them", async () => {
    const hubs = await Promise.all(Array.from({ length: 6 }, hub));
    const blocks = await Promise.all(hubs.flatMap((one) => [one.lease(0), one.lease(0), one.lease(0)]));
    const firsts = blocks.map(({ first }) => first).sort((a, b) => a - b);
    expect(firsts).toEqual(Array.from({ length: 18 }, (_, index) => 1 + index * BLOCK_IDS));
  });

  test("are above those that are known to be in use, should NATS have forgotten", async () => {
    const lease = await hub();
    expect((await lease.lease(3 * BLOCK_IDS + 5)).first).toBe(1 + 4 * BLOCK_IDS);
    await write("1");
    await lease.keep(1 + 5 * BLOCK_IDS);
    expect((await (await hub()).lease(0)).first).toBe(1 + 5 * BLOCK_IDS);
  });

  test.each(["lease", "keep"] as const)("go on where the bucket is gone: %s", async (act) => {
    const lease = await hub();
    await lease.lease(0);
    await (await new Kvm(connections[0]!).open(BUCKET)).destroy();
    await lease[act](1 + BLOCK_IDS);
    const { first } = await (await hub()).lease(0);
    expect(first).toBe(1 + (act === "lease" ? 2 : 1) * BLOCK_IDS);
  });

  test("end below 2^53", async () => {
    const lease = await hub();
    const last = 2 ** 53 - 2 * BLOCK_IDS + 1;
    await write(String(last));
    expect(await lease.lease(0)).toEqual({ first: last, end: last + BLOCK_IDS });
    await expect(lease.lease(0)).rejects.toMatchObject({ code: "natsUnusable" });
  });

  test.each(["", "0", "-5", "1.5", "many", "9007199254740993"])("are not taken from %j", async (text) => {
    const lease = await hub();
    await write(text);
    await expect(lease.lease(0)).rejects.toMatchObject({
      code: "natsUnusable",
      message: expect.stringContaining(JSON.stringify(text)),
    });
  });
});
