import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Hub, startHub } from "../../src/hub/index.js";
import { Cli, hubcast } from "./cli.js";

let hub: Hub;
beforeEach(async () => {
  hub = await startHub({ port: 0, name: "test hub" });
});
afterEach(() => hub.close());

/** Waits until that holds, for 10 s at most. */
async function until(holds: () => boolean): Promise<void> {
  const deadlineMs = Date.now() + 10_000;
  while (!holds()) {
    if (Date.now() > deadlineMs) throw new Error("waited in vain");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe("hub start", () => {
  it("says where it listens, relays, and ends with 0 at SIGTERM", async () => {
    const start = new Cli(["hub", "start", "--port", "0", "--no-mdns", "--json"]);
    await until(() => start.stdout.includes("\n"));
    const ready = JSON.parse(start.stdout);
    expect(ready).toMatchObject({
      type: "ready",
      name: "hubcast",
      address: expect.stringMatching(/^127\.0\.0\.1:/),
    });
    expect((await hubcast(["hub", "who", "--addr", ready.address])).code).toBe(0);
    start.kill("SIGTERM");
    expect(await start.ended()).toMatchObject({ code: 0 });
  });

  it("refuses a host that is open to the network without a token", async () => {
    const { code, stderr } = await hubcast(["hub", "start", "--host", "0.0.0.0", "--port", "0", "--no-mdns"]);
    expect(code).toBe(2);
    expect(stderr).toContain("--allow-anonymous");
  });

  it("says that the port is taken", async () => {
    const { code, stderr } = await hubcast(["hub", "start", "--port", String(hub.port), "--no-mdns"]);
    expect(code).toBe(3);
    expect(stderr).toContain("already in use");
  });
});

describe("hub listen, who and send", () => {
  it("work together", async () => {
    const env = { HUBCAST_HUB: hub.address };
    const listen = new Cli(["hub", "listen", "--name", "ear", "--group", "g", "--count", "3", "--json"], {
      env,
    });
    await until(() => listen.stdout.includes("ready"));
    const who = await hubcast(["hub", "who", "--json"], { env });
    expect(JSON.parse(who.stdout)).toEqual({
      hub: "test hub",
      clients: [{ id: 1, name: "ear", version: 2 }],
    });
    const sent = await hubcast(["hub", "send", "one", "--to", "1", "--json"], { env });
    expect(JSON.parse(sent.stdout)).toEqual({ reached: 1, unknown: [], evicted: [] });
    expect((await hubcast(["hub", "send", "--all"], { env, input: "two" })).stdout).toBe(
      "3 bytes reached 1 client\n",
    );
    expect((await hubcast(["hub", "send", "three", "--group", "g"], { env })).code).toBe(0);
    const { stdout, code } = await listen.ended();
    expect(code).toBe(0);
    const messages = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const texts = messages.slice(1).map(({ payload }) => Buffer.from(payload, "base64").toString());
    expect(texts).toEqual(["one", "two", "three"]);
    expect(messages.slice(1).map(({ to }) => to)).toEqual(["you", "all", { group: "g" }]);
  });

  it("send exits with 5 when a receiver is unknown, 2 when none is named, 3 when there is no hub", async () => {
    const env = { HUBCAST_HUB: hub.address };
    const unknown = await hubcast(["hub", "send", "x", "--to", "99", "--json"], { env });
    expect(unknown.code).toBe(5);
    expect(JSON.parse(unknown.stdout)).toMatchObject({
      ...{ reached: 0, unknown: [99], evicted: [] },
      error: { code: "notDelivered", exitCode: 5 },
    });
    expect((await hubcast(["hub", "send", "x"], { env })).code).toBe(2);
    expect((await hubcast(["hub", "who", "--addr", "127.0.0.1:1"])).code).toBe(3);
  });

  it("needs the token where the hub has one", async () => {
    const guarded = await startHub({ port: 0, token: "secret" });
    try {
      const args = ["hub", "who", "--addr", guarded.address];
      expect((await hubcast(args)).code).toBe(4);
      expect((await hubcast(args, { env: { HUBCAST_TOKEN: "secret" } })).code).toBe(0);
    } finally {
      await guarded.close();
    }
  });
});
