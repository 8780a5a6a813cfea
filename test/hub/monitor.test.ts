import { request } from "node:http";
import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { type Hub, type HubOptions, startHub } from "../../src/hub/index.js";
import { startMonitor } from "../../src/hub/monitor.js";
import type { HubStatus } from "../../src/hub/status.js";
import { TokenTable } from "../../src/runtime/tokens.js";
import { readToEnd } from "../fixtures/http-call.js";
import { frame, RawClient, relay } from "./raw-client.js";

let hub: Hub;
afterEach(() => hub?.close());

async function start(options: HubOptions = {}): Promise<void> {
  hub = await startHub({ port: 0, monitorPort: 0, ...options });
}

/** A call with headers of one's own, `Host` too, which fetch does not allow. */
async function get(
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string }> {
  return await new Promise((resolve, reject) => {
    const call = request(`${hub.monitorUrl}${path}`, { headers }, async (response) => {
      let text = "";
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode!, text });
    });
    call.on("error", reject).end();
  });
}

describe("monitoring", () => {
  it("shows clients, sorted as asked, and those that are gone with their reason", async () => {
    await start();
    const [a, b] = [await RawClient.connect(hub.port), await RawClient.connect(hub.port)];
    const ids = [await a.identity(), await b.identity()];
    a.send(relay([ids[1]!], "x".repeat(1_000)));
    await b.next();
    a.send(frame(9));
    await b.until(() => hub.stats().closed.unknownType === 1, "the end of a");
    const { clients } = JSON.parse((await get("/v1/clients?state=all&sort=bytesIn&order=desc")).text);
    expect(clients).toMatchObject([
      { id: 1, messagesIn: 2, reason: "unknownType" },
      { id: 2, messagesOut: 2, bytesOut: 13 + 1_005 },
    ]);
    const ascending = JSON.parse((await get("/v1/clients?sort=bytesIn&state=all")).text).clients;
    expect(ascending.map(({ id }: { id: number }) => id)).toEqual([2, 1]);
    const idsOf = async (query: string): Promise<number[]> =>
      JSON.parse((await get(`/v1/clients${query}`)).text).clients.map(({ id }: { id: number }) => id);
    expect(await idsOf("")).toEqual([2]);
    expect(await idsOf("?state=closed")).toEqual([1]);
    expect(await idsOf("?state=all&sort=id&order=desc&limit=1")).toEqual([2]);
    const wrong = ["sort=nothing", "order=up", "limit=0", "limit=x", "state=open", "filter=x", "sort="];
    for (const query of wrong) expect((await get(`/v1/clients?${query}`)).status, query).toBe(400);
    b.close();
  });

  it("looks at all clients once for a scrape, and for one scrape in a turn of the event loop", async () => {
    let looks = 0;
    await start();
    const watched = {
      status: () => {
        looks++;
        return hub.stats();
      },
      clients: () => [],
    };
    const monitor = await startMonitor(0, watched as never, new TokenTable([], "hub"));
    try {
      const scrapes = Array.from(
        { length: 8 },
        async () => await (await fetch(`${monitor.url}/metrics`)).text(),
      );
      for (const text of await Promise.all(scrapes)) expect(text).toMatch(/^hubcast_hub_clients 0$/m);
      expect(looks).toBeLessThanOrEqual(8);
    } finally {
      await monitor.close();
    }
  });

  it("takes few pipelined requests of a connection at a time, and answers all", async () => {
    const CALLS = 2_000;
    let taken = 0;
    let answered = 0;
    let most = 0;
    class Counting extends TokenTable {
      override check(): string {
        most = Math.max(most, ++taken - answered);
        return "";
      }
    }
    const watched = {
      status: () => ({}) as HubStatus,
      clients: () => {
        answered++;
        return [];
      },
    };
    const monitor = await startMonitor(0, watched, new Counting([{ token: "t", role: "read" }], "hub"));
    const client = connect(monitor.port, "127.0.0.1");
    const head = "GET /v1/clients HTTP/1.1\r\nHost: localhost\r\n";
    client.write(`${head}\r\n`.repeat(CALLS - 1));
    client.write(`${head}Connection: close\r\n\r\n`);
    expect((await readToEnd(client)).match(/HTTP\/1.1 200 /g)).toHaveLength(CALLS);
    await monitor.close();
    // One slice of 4 KiB, which is parsed whole, holds some 90 requests.
    expect(most).toBeLessThan(200);
  });

  it("answers as the ecosystem expects", async () => {
    await start({ name: "kitchen" });
    expect(await get("/healthz")).toEqual({ status: 200, text: '{"status":"ok"}' });
    expect(await get("/readyz")).toEqual({ status: 200, text: '{"status":"ready"}' });
    expect(JSON.parse((await get("/v1/status")).text)).toMatchObject({
      name: "kitchen",
      clients: 0,
      state: "ready",
    });
    const metrics = (await get("/metrics")).text;
    expect(metrics).toContain("\nhubcast_hub_clients 0\n");
    expect(metrics).toMatch(/^hubcast_hub_info\{name="kitchen",version="[\d.]+",engine="local"\} 1$/m);
    for (const name of ["process_cpu_seconds_total", "nodejs_eventloop_lag_p99_seconds"])
      expect(metrics).toMatch(new RegExp(`^${name} `, "m"));
    expect(JSON.parse((await get("/nothing")).text).type).toBe("urn:hubcast:error:notFound");
    expect((await get("/nothing")).status).toBe(404);
  });

  it("turns away pages of other origins and names", async () => {
    await start();
    expect((await get("/v1/status", { host: "evil.example" })).status).toBe(403);
    expect((await get("/v1/status", { origin: "http://evil.example" })).status).toBe(403);
  });

  it("does not answer to a name rebound to it, nor to other spellings of it as an origin", async () => {
    await start();
    for (const host of ["127.0.0.1.evil.example", "localhost@evil.example", "192.0.2.1"])
      expect((await get("/healthz", { host })).status).toBe(403);
    expect((await get("/healthz", { "sec-fetch-site": "same-site" })).status).toBe(403);
    expect((await get("/healthz", { origin: "null" })).status).toBe(403);
  });

  it("outlives paths that are no URL", async () => {
    await start();
    for (const path of ["//", "//[", "/\\", "/%", "/v1/clients?sort=%", "/v1/clients?sort=toString"])
      expect([200, 400, 404]).toContain((await get(path)).status);
    expect((await get("/healthz")).status).toBe(200);
  });

  it("closes the connection of a body instead of parsing it", async () => {
    await start({ token: "secret" });
    for (const method of ["GET", "POST"]) {
      const socket = connect(Number(new URL(hub.monitorUrl!).port), "127.0.0.1");
      socket.on("error", () => {});
      socket.write(`${method} /v1/status HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`);
      socket.once("data", () => socket.write("no chunk\r\n".repeat(1_000)));
      expect(await readToEnd(socket)).toMatch(/^HTTP\/1.1 40[15] .*connection: close/is);
    }
  });

  it("needs the hub's token where it has one, but for the probes", async () => {
    await start({ token: "secret" });
    for (const probe of ["/healthz", "/readyz"]) expect((await get(probe)).status).toBe(200);
    expect((await get("/v1/clients")).status).toBe(401);
    expect((await get("/v1/clients", { authorization: "Bearer secret" })).status).toBe(200);
  });
});

describe("starting a hub", () => {
  it("rejects what is out of range, and an open host without a token", async () => {
    await start();
    await expect(startHub({ port: 70_000 })).rejects.toMatchObject({ code: "invalidOption" });
    await expect(startHub({ port: 0, host: "0.0.0.0" })).rejects.toMatchObject({ code: "invalidOption" });
    await expect(startHub({ port: 0, name: "" })).rejects.toMatchObject({ code: "invalidOption" });
    await expect(startHub({ port: hub.port })).rejects.toMatchObject({ code: "portInUse" });
  });

  it("leaves nothing open when monitoring cannot be served", async () => {
    await start();
    const taken = Number(new URL(hub.monitorUrl!).port);
    const { port } = await freePort();
    await expect(startHub({ port, monitorPort: taken })).rejects.toMatchObject({ code: "portInUse" });
    await (await startHub({ port })).close();
  });

  it("is closed by its signal, and closing twice is closing once", async () => {
    const stop = new AbortController();
    await start({ signal: stop.signal });
    const client = await RawClient.connect(hub.port);
    stop.abort();
    await client.untilClosed();
    await Promise.all([hub.close(), hub.close()]);
    expect(hub.stats()).toMatchObject({ state: "stopping", clients: 0, closed: { stopping: 1 } });
  });

  it("a start whose signal aborts on the way rejects, and leaves nothing open", async () => {
    const stop = new AbortController();
    const { port } = await freePort();
    const starting = startHub({ port, monitorPort: 0, signal: stop.signal });
    stop.abort();
    await expect(starting).rejects.toMatchObject({ name: "AbortError" });
    await (await startHub({ port })).close();
  });

  it("drains: what is queued is written before clients are closed", async () => {
    await start();
    const [a, b] = [await RawClient.connect(hub.port), await RawClient.connect(hub.port)];
    const [, idB] = [await a.identity(), await b.identity()];
    b.socket.pause();
    for (let index = 0; index < 20; index += 1) a.send(relay([idB], Buffer.alloc(1_000_000)));
    await a.until(() => hub.stats().messagesIn === 22, "all messages");
    const closing = hub.close();
    b.socket.resume();
    await b.untilClosed();
    await closing;
    expect(b.frames.length).toBe(20);
  });
});

/** A hub that was closed: nothing listens at its port. */
async function freePort(): Promise<Hub> {
  const hub = await startHub({ port: 0 });
  await hub.close();
  return hub;
}
