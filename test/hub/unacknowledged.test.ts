import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { unacknowledged, unacknowledgedIn } from "../../src/hub/connection.js";
import { type HubStatus, startHub } from "../../src/hub/index.js";
import { HUB_LIMITS } from "../../src/hub/machine/limits.js";
import { Cli } from "../commands/cli.js";
import { eventually } from "../fixtures/eventually.js";
import { Lan, type Machine, whyNoLan } from "../fixtures/lan.js";
import { LineProcess } from "../fixtures/line-process.js";
import { HubWorld } from "./machine/world.js";
import { RawClient, relay } from "./raw-client.js";

const dist = (door: string): string => new URL(`../../build/src/hub/${door}.js`, import.meta.url).href;
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

describe("bytes that the other end has not taken", () => {
  const HEAD =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
  it.each([
    ["0100007F:270F 0100007F:C35A 01 00000019:00000000 04:000002A4", ["127.0.0.1:50010", 25]],
    ["0100007F:270F 0201A8C0:C35A 01 00000019:00000000 04:000002A4", ["192.168.1.2:50010", 25]],
    [
      "0000000000000000FFFF00000100007F:270F 0000000000000000FFFF00000100007F:C35A 01 00001000:00000000 00:00000000",
      ["::ffff:127.0.0.1:50010", 4096],
    ],
    [
      "B80D01200000000000000000010000A0:270F 000080FE00000000000000000100A8C0:C35A 01 00000001:00000000 00:00000000",
      ["fe80::c0a8:1:50010", 1],
    ],
    ["0100007F:270F 0100007F:C35A 01 00000000:00000000 00:00000000", undefined],
    ["0100007F:C35A 0100007F:270F 01 00000019:00000000 00:00000000", undefined],
  ] as const)("are read from a line of the kernel's: %s", (line, expected) => {
    const found = [...unacknowledgedIn(`${HEAD}   3: ${line} 00000000     0        0 35\n`, 9999)];
    expect(found).toEqual(expected === undefined ? [] : [{ remote: expected[0], bytes: expected[1] }]);
  });

  it("are looked for in a part of the lines at a time, with turns of the event loop in between", async () => {
    const ended =
      "   3: 0100007F:270F 0100007F:C35A 06 00000000:00000000 03:00000400 00000000     0        0 0\n";
    const queued =
      "   4: 0100007F:270F 0100007F:C35B 01 00000019:00000000 04:000002A4 00000000     0        0 35\n";
    const table = join(mkdtempSync(join(tmpdir(), "unacknowledged-")), "tcp");
    writeFileSync(table, HEAD + ended.repeat(20_000) + queued);
    let turns = 0;
    let isDone = false;
    const count = (): void => {
      turns += 1;
      if (!isDone) setImmediate(count);
    };
    count();
    expect([...(await unacknowledged(9999, [`${table}-none`, table]))]).toEqual([["127.0.0.1:50011", 25]]);
    isDone = true;
    expect(turns).toBeGreaterThan(20);
  });

  it("close a client of version 1 after a minute in which none was taken", () => {
    const world = new HubWorld();
    const [dead, slow] = [world.connect(), world.connect()];
    world.send(slow, relay([1, 2], Buffer.alloc(1_000)));
    for (let second = 0; second < 200 && dead.session.open; second += 1) {
      world.pass(1_000);
      world.machine.handle({ type: "unacknowledged", session: dead.session, bytes: 25 }, world.nowMs);
      world.machine.handle(
        { type: "unacknowledged", session: slow.session, bytes: 1_000 - second },
        world.nowMs,
      );
      if (second < 59) expect(dead.session.open).toBe(true);
    }
    world.settle();
    expect(dead.session.closeReason).toBe("slowConsumer");
    expect(slow.session.open).toBe(true);
  });

  it("close it below its limit, too, when they are still in its queue", () => {
    const world = new HubWorld();
    const [frozen, sender] = [world.connect(), world.connect()];
    frozen.room = 0;
    world.send(sender, relay([1], Buffer.alloc(1_000)));
    world.pass(HUB_LIMITS.progressTimeoutMs - 2_000);
    expect(frozen.session.open).toBe(true);
    world.pass(4_000);
    expect(frozen.session.closeReason).toBe("slowConsumer");
  });

  const noLan = whyNoLan();
  it.skipIf(noLan !== undefined)(
    "show a client of version 1 that lost power",
    { timeout: 60_000 },
    async () => {
      await using lan = await Lan.open(1, 1);
      const [[here], [there]] = lan.rooms as [[Machine], [Machine]];
      const script = (file: string, body: string): [string, string] => [
        "-e",
        `import * as hubs from ${JSON.stringify(file)};\n${body}`,
      ];
      const node = (machine: Machine, ...code: readonly string[]) => {
        const under = machine.under as readonly [string, ...string[]];
        const child = new LineProcess([...under, process.execPath, "--input-type=module", ...code] as [
          string,
          ...string[],
        ]);
        closing.push(() => child.kill());
        return child;
      };
      const say = "const say = (line) => console.log(JSON.stringify(line));";
      const hub = node(
        here,
        ...script(
          dist("index"),
          `${say}
      import { connectToHub } from ${JSON.stringify(dist("client/index"))};
      const options = { host: "${here.address}", allowAnonymous: true, port: 0, progressTimeoutMs: 2_000 };
      const hub = await hubs.startHub(options);
      const near = await connectToHub(hub.address);
      say({ address: hub.address });
      process.stdin.on("data", () => near.relay([2], "x".repeat(20)));
      setInterval(() => say({ clients: hub.stats().clients, ...hub.stats().closed }), 200);`,
        ),
      );
      const { address } = await hub.line({});
      const far = node(
        there,
        ...script(
          dist("client/index"),
          `${say}
      const client = await hubs.connectToHub("${address}", { version: 1 });
      say({ id: client.id });`,
        ),
      );
      await far.line({ id: 2 });
      await lan.cut();
      hub.child.stdin!.write("send\n");
      await hub.line({ clients: 1, slowConsumer: 1 }, 30_000);
    },
  );
});

describe("open files", () => {
  it.skipIf(process.platform !== "linux")(
    "bound the clients, and every connection is accounted for",
    async () => {
      const args = [
        "hub",
        "start",
        "--port",
        "0",
        "--no-mdns",
        "--monitor-port",
        "0",
        "--json",
        "--log-format",
        "json",
      ];
      const hub = new Cli(args, {
        under: ["sh", "-c", 'ulimit -n 100; exec "$@"', "sh"],
        deadlineMs: 60_000,
      });
      closing.push(async () => {
        hub.kill("SIGKILL");
        await hub.ended();
      });
      await hub.says(/"ready"/);
      const { address, monitorUrl } = JSON.parse(hub.stdout.split("\n")[0]!);
      expect(hub.stderr).toMatch(/takes \d+ clients, not 10000: raise the limit of open files/);
      const clients = await Promise.all(
        Array.from({ length: 150 }, () => RawClient.connect(Number(address.split(":")[1]))),
      );
      closing.push(() => {
        for (const client of clients) client.close();
      });
      const status = await eventually(async () => {
        const now = (await (await fetch(`${monitorUrl}/v1/status`)).json()) as HubStatus;
        return now.clients + (now.closed.clientsMax ?? 0) === 150 && now;
      });
      if (status === false) return;
      expect(status.clients).toBe(status.clientsMax);
      expect(status.connections).toBe(150);
    },
  );

  it("are enough for what is asked, as a rule", async () => {
    const hub = await startHub({ port: 0, clientsMax: 10 });
    closing.push(() => hub.close());
    expect(hub.stats().clientsMax).toBe(10);
  });
});
