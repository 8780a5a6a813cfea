import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import { connectToHub, type HubClientEvent } from "../../src/hub/client/index.js";
import { Cli, hubcast } from "../commands/cli.js";
import { eventually } from "../fixtures/eventually.js";
import { NatsServer, natsMissing } from "../fixtures/nats-server.js";
import { frame, hello, u64 } from "../hub/raw-client.js";

const running: Cli[] = [];

afterEach(async () => {
  for (const hub of running.splice(0)) {
    hub.kill("SIGKILL");
    await hub.ended();
  }
});

/** Hubs, each a process. @returns their addresses */
async function startHubs(count: number, engine: string): Promise<string[]> {
  const addresses: string[] = [];
  for (let number = 1; number <= count; number += 1) {
    const flags = ["--port", "0", "--no-mdns", "--engine", engine, "--name", `hub-${number}`, "--json"];
    const hub = new Cli(["hub", "start", ...flags], { deadlineMs: 60_000 });
    running.push(hub);
    await hub.says(/"ready"/);
    addresses.push(JSON.parse(hub.stdout.split("\n")[0]!).address);
  }
  return addresses;
}

describe.skipIf(natsMissing)("a hub whose nats-server is away", { timeout: 60_000 }, () => {
  test("says so wherever one looks, and no more when the server is back", async () => {
    await using server = await NatsServer.start();
    const hub = new Cli(
      [
        ...["hub", "start", "--port", "0", "--monitor-port", "0", "--mdns-interface", "127.0.0.1"],
        ...["--engine", server.url, "--name", "porter", "--stat", "--json"],
      ],
      { deadlineMs: 60_000 },
    );
    running.push(hub);
    await hub.says(/"ready"/);
    const { monitorUrl } = JSON.parse(hub.stdout.split("\n")[0]!) as { monitorUrl: string };
    const loopback = ["--mdns-interface", "127.0.0.1"];
    /** The text at each place: a line of `top`, the findings of `doctor`, and the answers of the monitoring. */
    const places = async () => {
      const get = async (path: string) => {
        const answer = await fetch(`${monitorUrl}${path}`);
        return { code: answer.status, text: await answer.text() };
      };
      const [top, doctor] = await Promise.all([
        hubcast(["top", "--once", "--hub", monitorUrl, ...loopback]),
        hubcast(["doctor", "--json", ...loopback]),
      ]);
      const { findings } = JSON.parse(doctor.stdout) as { findings: { verdict: string; text: string }[] };
      return {
        top: top.stdout.split("\n").find((line) => line.includes("hub porter")),
        doctor: findings
          .filter(({ verdict, text }) => verdict === "problem" && text.includes("porter"))
          .map(({ text }) => text),
        ready: await get("/readyz"),
        status: JSON.parse((await get("/v1/status")).text) as { state: string; reasons: string[] },
        metrics: (await get("/metrics")).text,
      };
    };
    expect(await places()).toMatchObject({
      top: expect.stringMatching(/hub porter ready, 0 clients/),
      doctor: [],
      ready: { code: 200, text: '{"status":"ready"}' },
      status: { state: "ready", reasons: [], details: [] },
      metrics: expect.stringMatching(/^hubcast_hub_degraded\{reason="natsAway"\} 0$/m),
    });
    await server.stop();
    await eventually(async () => (await fetch(`${monitorUrl}/readyz`)).status === 503);
    expect(await places()).toMatchObject({
      top: expect.stringMatching(/hub porter degraded \(natsAway\), 0 clients/),
      doctor: ["hub porter is degraded: NATS is away: clients of this hub reach each other only"],
      ready: { code: 503, text: '{"status":"degraded"}' },
      status: { state: "degraded", reasons: ["natsAway"], details: [{ code: "natsAway" }] },
      metrics: expect.stringMatching(/^hubcast_hub_degraded\{reason="natsAway"\} 1$/m),
    });
    await eventually(() => /degraded \(natsAway\), 0 clients/.test(hub.stderr));
    await server.restart();
    await eventually(async () => (await fetch(`${monitorUrl}/readyz`)).status === 200, 10_000);
  });
});

describe.skipIf(natsMissing)("three hubs on a nats-server", () => {
  test("deliver every payload of 90 clients to all others once, in order per pair", {
    timeout: 60_000,
  }, async () => {
    await using server = await NatsServer.start();
    const addresses = await startHubs(3, server.url);
    const flags = [...addresses.flatMap((address) => ["--addr", address]), "-c", "90", "-n", "20"];
    const run = await hubcast(["hub", "simulate", ...flags, "--size", "4000", "--json"], {
      deadlineMs: 50_000,
    });
    expect(run.code, run.stderr).toBe(0);
    expect(JSON.parse(run.stdout).proof).toMatchObject({
      ...{ delivered: true, pairs: 8_010, expected: 160_200 },
      ...{ lost: 0, duplicated: 0, outOfOrder: 0, corrupt: 0, unsent: 0 },
    });
  });

  test("miss the clients of one that is killed within 5 s, and only those", { timeout: 60_000 }, async () => {
    await using server = await NatsServer.start();
    const [a, b, c] = (await startHubs(3, server.url)) as [string, string, string];
    await using anna = await connectToHub(a, { presence: true });
    await using carl = await connectToHub(c, { name: "carl" });
    await using bert = await connectToHub(b, { name: "bert", reconnect: false });
    const events: HubClientEvent[] = [];
    void (async () => {
      for await (const event of anna.events()) events.push(event);
    })();
    // The list has a client before its name is known; a hub that is killed in between never had it arrive.
    await eventually(() => events.filter(({ type }) => type === "arrived").length === 2);
    running[1]!.kill("SIGKILL");
    await eventually(() => events.some(({ type }) => type === "departed"), 5_000);
    expect(events.filter(({ type }) => type === "departed")).toEqual([
      { type: "departed", id: bert.id, name: "bert", reason: "hubLost" },
    ]);
    expect(await anna.list()).toEqual([carl.id]);
    expect(await anna.relay([carl.id], "still here", { receipt: true })).toMatchObject({ reached: 1 });
  });

  test("say so when there is no NATS", async () => {
    const { code, stderr } = await hubcast(["hub", "start", "--port", "0", "--engine", "nats://127.0.0.1:1"]);
    expect(code).toBe(3);
    expect(stderr).toContain("nats-server -js");
  });
});

test.skipIf(process.platform !== "linux")(
  "a hub gives back the memory that a flood of requests took",
  {
    timeout: 120_000,
  },
  async () => {
    const hub = new Cli(["hub", "start", "--port", "0", "--no-mdns", "--json"], { deadlineMs: 120_000 });
    running.push(hub);
    await hub.says(/"ready"/);
    const [host, port] = (JSON.parse(hub.stdout.split("\n")[0]!).address as string).split(":");
    const residentMib = () =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${hub.pid}/status`, "utf8"))![1]) / 1_024;
    const restMib = residentMib();
    const others = connect({ host: host!, port: Number(port) })
      .on("error", () => {})
      .resume();
    others.write(hello("goes on"));
    // More than a client is read before it waits.
    const requests = Buffer.concat(new Array<Buffer>(60_000).fill(frame(2)));
    const flooders = Array.from({ length: 900 }, () => connect({ host: host!, port: Number(port) }).resume());
    for (const flooder of flooders) flooder.on("error", () => {}).write(requests);
    await eventually(() => flooders.every(({ bytesRead }) => bytesRead > 200_000), 30_000);
    for (const flooder of flooders) flooder.destroy();
    // A hub that does nothing collects its garbage sooner than one with something to do.
    const user = setInterval(() => others.write(frame(24, u64(1))), 20);
    onTestFinished(() => clearInterval(user));
    await eventually(() => residentMib() < restMib + 48, 60_000);
  },
);
