import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { isIPv4 } from "node:net";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AvahiNetwork, startAvahiNetwork, whyNoAvahi } from "../fixtures/avahi.js";
import { eventually } from "../fixtures/eventually.js";
import { LineProcess } from "../fixtures/line-process.js";

const PEER = fileURLToPath(new URL("../fixtures/dnssd-peer.js", import.meta.url));
const RUN = fileURLToPath(new URL("../../bin/run.js", import.meta.url));
const isBuilt = existsSync(new URL("../../build/src/discovery/index.js", import.meta.url));
const reason = whyNoAvahi() ?? (isBuilt ? undefined : "dist is not built (npm run build)");
const service = { type: "_hubcast._tcp", port: 4321, txt: { cluster: "blue", p2p: "4321" } };

describe.skipIf(reason)(`the real avahi-browse${reason ? ` (skipped: ${reason})` : ""}`, () => {
  let network: AvahiNetwork;

  beforeAll(async () => {
    network = await startAvahiNetwork();
  });
  afterAll(async () => {
    await network?.[Symbol.asyncDispose]();
  });

  test.each(["here", "there"] as const)(
    "sees a service of the machine %s, and none after close",
    async (where) => {
      const machine = network[where];
      const fields = JSON.stringify({ ...service, name: `web ${where}`, id: `ID-${where}` });
      await using peer = new LineProcess(machine.command(process.execPath, PEER, fields));
      await peer.line({ event: "ready", name: `web ${where}` });
      const found = await eventually(async () => {
        const services = await network.browse("_hubcast._tcp");
        return services.find((candidate) => candidate.interface === network.here.interface);
      });
      expect(found).toEqual({
        interface: network.here.interface,
        name: `web ${where}`,
        host: `hubcast-ID-${where}.local`,
        address: machine.address,
        port: 4321,
        txt: expect.arrayContaining(["txtvers=1", `id=ID-${where}`, "cluster=blue", "p2p=4321"]),
      });
      await peer.stop();
      await eventually(async () => (await network.browse("_hubcast._tcp")).length === 0);
    },
  );

  test("discover and avahi-browse agree on names, addresses and what is told beside them", async () => {
    const start = (where: "here" | "there") => {
      const fields = {
        ...service,
        // Not the names of the tests above: Avahi may keep what was told under them for another second.
        name: `desk ${where}`,
        id: `DESK-${where}`,
        txt: { ...service.txt, v: "1.2.3" },
      };
      return new LineProcess(network[where].command(process.execPath, PEER, JSON.stringify(fields)));
    };
    await using here = start("here");
    await using there = start("there");
    await Promise.all([here.line({ event: "ready" }), there.line({ event: "ready" })]);
    const onCable = await eventually(async () => {
      const services = await network.browse("_hubcast._tcp");
      const found = services.filter((candidate) => candidate.interface === network.here.interface);
      return found.length === 2 ? found : undefined;
    });
    // On its own machine a service is best reached by loopback: so both look at the cable.
    const flags = ["--json", "--mdns-interface", network.here.interface];
    const [program, ...args] = network.here.command(process.execPath, RUN, "discover", ...flags);
    const { stdout } = await promisify(execFile)(program, args, { timeout: 15_000 });
    const discovered = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const told = (txt: readonly string[], key: string) =>
      txt.find((entry) => entry.startsWith(`${key}=`))?.slice(key.length + 1);
    expect(discovered.map(({ name, id, cluster, version }) => [name, id, cluster, version]).sort()).toEqual(
      onCable.map(({ name, txt }) => [name, told(txt, "id"), told(txt, "cluster"), told(txt, "v")]).sort(),
    );
    // Avahi tells one address of each, of either family: that which it heard first.
    for (const { name, address, port } of onCable) {
      const { addresses } = discovered.find((node) => node.name === name);
      const place = address.includes(":") ? `[${address}%${network.here.interface}]` : address;
      expect(addresses).toContain(`${place}:${port}`);
    }
    await Promise.all([here.stop(), there.stop()]);
  });

  test("two machines with one name get two, each with the address of its own", async () => {
    const start = (where: "here" | "there") =>
      new LineProcess(
        network[where].command(
          process.execPath,
          PEER,
          JSON.stringify({ ...service, name: "twin", id: where }),
        ),
      );
    await using here = start("here");
    await using there = start("there");
    await Promise.all([here.line({ event: "ready" }), there.line({ event: "ready" })]);
    await here.line({ event: "up", id: "there" });
    await there.line({ event: "up", id: "here" });
    const found = await eventually(async () => {
      const services = await network.browse("_hubcast._tcp");
      const onCable = services.filter((candidate) => candidate.interface === network.here.interface);
      // avahi gives the first address that came, which may be of IPv6.
      const isComplete = onCable.length === 2 && onCable.every(({ address }) => isIPv4(address));
      return isComplete ? onCable : undefined;
    });
    expect(new Set(found.map(({ name }) => name))).toEqual(new Set(["twin", "twin (2)"]));
    expect(new Set(found.map(({ host, address }) => `${host} ${address}`))).toEqual(
      new Set([`hubcast-here.local ${network.here.address}`, `hubcast-there.local ${network.there.address}`]),
    );
    await here.kill();
    await there.stop();
  });
});
