import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { hubcast } from "../commands/cli.js";
import { eventually } from "../fixtures/eventually.js";
import { Lan, type Machine, whyNoLan } from "../fixtures/lan.js";
import { LineProcess } from "../fixtures/line-process.js";
import { NodeProcess } from "../fixtures/node-process.js";

const reason = whyNoLan();

/** Holds UDP port 5353 for itself, until its standard input ends. */
const HOLDER = `
  const socket = require("node:dgram").createSocket({ type: "udp4" });
  socket.bind({ port: 5353, exclusive: true }, () => console.log(JSON.stringify({ event: "held" })));
  process.stdin.resume().on("end", () => process.exit());
`;

describe.skipIf(reason)(`networks${reason ? ` (skipped: ${reason})` : ""}`, () => {
  let lan: Lan;
  let cluster: string;
  beforeAll(async () => {
    lan = await Lan.open(2, 0);
  });
  afterAll(() => lan?.[Symbol.asyncDispose]());
  beforeEach(async () => {
    for (const machine of lan.machines) await lan.readdress(machine, [`${machine.address}/16`]);
    cluster = `t-${randomUUID().slice(0, 8)}`;
  });

  const start = (machine: Machine, ...flags: string[]) =>
    NodeProcess.start({ under: machine.under, flags: ["--cluster", cluster, ...flags] });
  const meet = async (deadlineMs = 20_000) => {
    const [here, there] = lan.machines;
    await using a = await start(here!);
    await using b = await start(there!);
    await eventually(
      async () => (await a.status()).peers === 1 && (await b.status()).peers === 1,
      deadlineMs,
    );
  };

  test.each([
    [
      "in two subnets on one link",
      { cidrs: ["10.77.1.1/24"], routes: ["10.77.2.0/24"] },
      { cidrs: ["10.77.2.1/24"], routes: ["10.77.1.0/24"] },
    ],
    [
      "with an address and no subnet",
      { cidrs: ["10.1.1.1/32"], routes: ["10.2.2.2"] },
      { cidrs: ["10.2.2.2/32"], routes: ["10.1.1.1"] },
    ],
    [
      "in one subnet, each with another address in front",
      { cidrs: ["192.168.5.1/24", "10.77.0.1/24"] },
      { cidrs: ["192.168.6.1/24", "10.77.0.2/24"] },
    ],
    ["of IPv6 alone, unique local", { cidrs: ["fd00:77::1/64"] }, { cidrs: ["fd00:77::2/64"] }],
  ])("two machines %s find each other", { timeout: 60_000 }, async (_, one, other) => {
    for (const [index, { cidrs, routes }] of [one, other].entries() as Iterable<
      [number, { cidrs: string[]; routes?: string[] }]
    >)
      await lan.readdress(lan.machines[index]!, cidrs, routes);
    await meet();
  });

  test("a machine of link-local addresses alone is found, with the zone", { timeout: 60_000 }, async () => {
    const [here, there] = lan.machines;
    for (const machine of lan.machines) await lan.readdress(machine, []);
    await using b = await start(there!);
    const { stdout } = await hubcast(["discover", "--json", "--timeout", "5s"], { under: here!.under });
    const [seen] = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(seen).toMatchObject({ id: b.id, addresses: [expect.stringMatching(/^\[fe80::.*%eth0\]:\d+$/)] });
    // It takes connections there.
    expect(seen.roundTripMs).toBeGreaterThan(0);
    const doctor = await hubcast(["doctor"], { under: here!.under });
    expect(doctor.stdout).toMatch(/ok +multicast comes back on eth0/);
  });

  test("packets leave from an address of each subnet", { timeout: 60_000 }, async () => {
    const [here, there] = lan.machines;
    await lan.readdress(here!, ["192.168.5.1/24", "10.77.0.1/24"]);
    await lan.readdress(there!, ["10.77.0.2/24"]);
    const heard = `
      const socket = require("node:dgram").createSocket({ type: "udp4", reuseAddr: true });
      socket.on("message", (_, { address }) => console.log(JSON.stringify({ event: "heard", address })));
      socket.bind(5353, "224.0.0.251", () => {
        socket.addMembership("224.0.0.251", "10.77.0.2");
        console.log(JSON.stringify({ event: "listening" }));
      });
    `;
    const [program, ...args] = [...there!.under, process.execPath, "-e", heard];
    await using listener = new LineProcess([program!, ...args]);
    await listener.line({ event: "listening" });
    await using _a = await start(here!);
    await listener.line({ event: "heard", address: "192.168.5.1" });
    await listener.line({ event: "heard", address: "10.77.0.1" });
  });

  test("a network that comes after the start is used at once", { timeout: 60_000 }, async () => {
    const [here, there] = lan.machines;
    await lan.plug(there!, "down");
    await using a = await start(here!);
    await using b = await start(there!);
    await lan.plug(there!, "up");
    // Long before the interfaces were looked at again when that was done every 15 s.
    await eventually(async () => (await a.status()).peers === 1 && (await b.status()).peers === 1, 10_000);
  });

  describe("where another program holds UDP port 5353", () => {
    const hold = async (machine: Machine) => {
      const [program, ...args] = [...machine.under, process.execPath, "-e", HOLDER];
      const holder = new LineProcess([program!, ...args]);
      await holder.line({ event: "held" });
      return holder;
    };

    test("a node without --peer does not start, and is told of --no-mdns", { timeout: 60_000 }, async () => {
      const [here] = lan.machines;
      await using _holder = await hold(here!);
      const { stdout, code } = await hubcast(["broadcast", "start", "--port", "0", "--json"], {
        under: here!.under,
      });
      expect(JSON.parse(stdout).error).toMatchObject({
        code: "portInUse",
        suggestions: [expect.stringContaining("--no-mdns")],
      });
      expect(code).toBe(3);
    });

    test("a node with --peer goes on, and uses multicast DNS once it can", { timeout: 60_000 }, async () => {
      const [here, there] = lan.machines;
      await using holder = await hold(here!);
      await using a = await start(here!, "--peer", `${there!.address}:4001`);
      expect(a.stderr).toMatch(/another program holds UDP port 5353/);
      await using b = await start(there!, "--p2p-port", "4001");
      await eventually(async () => (await b.status()).peers === 1, 20_000);
      await using c = await start(there!, "--port", "0");
      await holder.stop();
      await eventually(async () => (await a.peers()).some(({ id }) => id === c.id), 20_000);
      // Not only through its peer: multicast DNS shows it.
      await eventually(async () => {
        const { stdout } = await hubcast(["discover", "--json", "--mdns-interface", "eth0"], {
          under: there!.under,
        });
        return stdout.includes(a.id);
      }, 30_000);
    });
  });
});
