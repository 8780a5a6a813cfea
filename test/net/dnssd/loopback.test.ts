import { createSocket } from "node:dgram";
import { fileURLToPath } from "node:url";
import multicastDns from "multicast-dns";
import { afterEach, describe, expect, test } from "vitest";
import {
  type AdvertisedService,
  type DiscoveredService,
  type DnsSd,
  openDnsSd,
} from "../../../src/net/dnssd/index.js";
import { usableInterfaces } from "../../../src/net/dnssd/interfaces.js";
import { eventually } from "../../fixtures/eventually.js";
import { LineProcess } from "../../fixtures/line-process.js";

const PEER = fileURLToPath(new URL("../../fixtures/dnssd-peer.js", import.meta.url));
const opened: DnsSd[] = [];
const warnings: Error[] = [];
let serial = 0;

afterEach(async () => {
  await Promise.all(opened.splice(0).map((dnssd) => dnssd.close()));
  expect(warnings.splice(0)).toEqual([]);
});

async function open(): Promise<DnsSd> {
  const dnssd = await openDnsSd({
    interfaces: ["127.0.0.1"],
    onWarning: (warning) => warnings.push(warning),
  });
  opened.push(dnssd);
  return dnssd;
}

/** A service with a name and identity that no other test uses: all tests share one port. */
function service(fields: Partial<AdvertisedService> = {}): AdvertisedService {
  const unique = `${process.pid}-${++serial}`;
  return {
    type: "_hubcast._tcp",
    name: `web ${unique}`,
    id: `ID-${unique}`,
    port: 4_000,
    txt: {},
    ...fields,
  };
}

/** What a browser was told, of the identities that matter. */
function watch(dnssd: DnsSd, ids: readonly string[], type: AdvertisedService["type"] = "_hubcast._tcp") {
  const events: (readonly [string, string])[] = [];
  const services = new Map<string, DiscoveredService>();
  const note = (event: string) => (found: DiscoveredService) => {
    if (found.id === undefined || !ids.includes(found.id)) return;
    events.push([event, found.id]);
    if (event === "down") services.delete(found.id);
    else services.set(found.id, found);
  };
  const handle = dnssd.browse(type, { up: note("up"), changed: note("changed"), down: note("down") });
  return { events, services, close: () => handle.close() };
}

/** Sends a raw packet to the group from port 5353 of the loopback interface. */
async function shout(packets: readonly Buffer[]): Promise<void> {
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  await new Promise<void>((resolve) => socket.bind({ port: 5_353, address: "127.0.0.1" }, resolve));
  socket.setMulticastInterface("127.0.0.1");
  for (const packet of packets) {
    await new Promise((resolve) => socket.send(packet, 5_353, "224.0.0.251", resolve));
  }
  await new Promise<void>((resolve) => socket.close(resolve));
}

describe("on the loopback interface", () => {
  test("a service is found with all it shows, and its goodbye is heard", async () => {
    const [a, b] = [await open(), await open()];
    const shown = service({ txt: { cluster: "blue" }, txtFor: (address) => ({ http: `${address}:8080` }) });
    const watcher = watch(b, [shown.id]);
    await a.advertise(shown);
    const found = await eventually(() => watcher.services.get(shown.id));
    expect(found).toMatchObject({
      type: "_hubcast._tcp",
      name: shown.name,
      host: `hubcast-${shown.id}.local`,
      port: 4_000,
      addresses: ["127.0.0.1"],
      interfaceAddress: "127.0.0.1",
      txt: { txtvers: "1", cluster: "blue", http: "127.0.0.1:8080", id: shown.id },
    });
    await a.close();
    await eventually(() => !watcher.services.has(shown.id), 3_000);
    expect(watcher.events).toEqual([
      ["up", shown.id],
      ["down", shown.id],
    ]);
  });

  test("one that comes later finds what is there, and a second listener is told what is known", async () => {
    const [a, b] = [await open(), await open()];
    const shown = service();
    await a.advertise(shown);
    const first = watch(b, [shown.id]);
    await eventually(() => first.services.has(shown.id));
    const second = watch(b, [shown.id]);
    await eventually(() => second.services.has(shown.id));
    first.close();
    second.close();
  });

  test("nodes and hubs are told apart", async () => {
    const a = await open();
    const hub = service({ type: "_hubcast-hub._tcp" });
    const node = service();
    const hubs = watch(a, [hub.id, node.id], "_hubcast-hub._tcp");
    await Promise.all([a.advertise(hub), a.advertise(node)]);
    await eventually(() => hubs.services.has(hub.id));
    expect(hubs.events).toEqual([["up", hub.id]]);
  });

  test("the second of one name is renamed and says so, its identity stays", async () => {
    const [a, b] = [await open(), await open()];
    const first = service();
    const renamed: string[] = [];
    const second = service({ name: first.name, onRenamed: (name) => renamed.push(name) });
    const one = await a.advertise(first);
    const two = await b.advertise(second);
    expect([one.name, two.name]).toEqual([first.name, `${first.name} (2)`]);
    expect(renamed).toEqual([`${first.name} (2)`]);
    const watcher = watch(await open(), [first.id, second.id]);
    await eventually(() => watcher.services.size === 2);
    expect(watcher.services.get(second.id)?.name).toBe(`${first.name} (2)`);
  });

  test("ten that start at once under one name all get one of their own", async () => {
    const first = service();
    const nodes = await Promise.all(Array.from({ length: 10 }, open));
    const advertised = await Promise.all(
      nodes.map((node) => node.advertise({ ...service(), name: first.name })),
    );
    const names = advertised.map(({ name }) => name);
    expect(new Set(names).size).toBe(10);
    expect(names).toContain(first.name);
  });

  test("one service of several can be closed alone", async () => {
    const [a, b] = [await open(), await open()];
    const [stays, goes] = [service(), service()];
    const watcher = watch(b, [stays.id, goes.id]);
    const [, going] = await Promise.all([a.advertise(stays), a.advertise(goes)]);
    await eventually(() => watcher.services.size === 2);
    await going.close();
    await eventually(() => !watcher.services.has(goes.id));
    expect([...watcher.services.keys()]).toEqual([stays.id]);
  });

  test("a service without an address on an interface is not advertised there", async () => {
    const [a, b] = [await open(), await open()];
    const [hidden, shown] = [service({ addressesFor: () => [] }), service()];
    const watcher = watch(b, [hidden.id, shown.id]);
    await a.advertise(hidden);
    await a.advertise(shown);
    await eventually(() => watcher.services.has(shown.id));
    expect([...watcher.services.keys()]).toEqual([shown.id]);
  });

  test("a listener that throws is a warning, and the others are told", async () => {
    const a = await open();
    const shown = service();
    a.browse("_hubcast._tcp", {
      up: ({ id }) => {
        if (id === shown.id) throw new Error("listener failed");
      },
      down: () => {},
    });
    const watcher = watch(a, [shown.id]);
    await a.advertise(shown);
    await eventually(() => watcher.services.has(shown.id));
    expect(warnings.splice(0).map(({ message }) => message)).toEqual(["listener failed"]);
  });
});

describe("other processes", () => {
  const start = (shown: AdvertisedService) =>
    new LineProcess([process.execPath, PEER, JSON.stringify(shown), "127.0.0.1"]);

  test("are found, see us, share the port, and are heard to leave", async () => {
    const a = await open();
    const [ours, theirs] = [service(), service()];
    const watcher = watch(a, [theirs.id]);
    await a.advertise(ours);
    await using peer = start(theirs);
    await peer.line({ event: "up", id: ours.id });
    await eventually(() => watcher.services.has(theirs.id));
    await peer.stop();
    await eventually(() => !watcher.services.has(theirs.id), 3_000);
  });

  test("one killed and started again under its name keeps it", async () => {
    const a = await open();
    const theirs = service();
    const watcher = watch(a, [theirs.id]);
    for (let round = 0; round < 2; round++) {
      await using peer = start(theirs);
      await peer.line({ event: "ready", name: theirs.name });
      await eventually(() => watcher.services.has(theirs.id));
      await peer.kill();
    }
    expect(watcher.events).toEqual([["up", theirs.id]]);
  });
});

describe("other programs", () => {
  test("a service that a plain multicast-dns announces is seen, without an identity", async () => {
    const a = await open();
    const name = `foreign ${process.pid}._hubcast._tcp.local`;
    const found: DiscoveredService[] = [];
    a.browse("_hubcast._tcp", { up: (seen) => found.push(seen), down: () => {} });
    const foreign = multicastDns({ interface: "127.0.0.1" });
    await new Promise<void>((resolve) => foreign.on("ready", resolve));
    foreign.respond([
      { name: "_hubcast._tcp.local", type: "PTR", ttl: 120, data: name },
      { name, type: "SRV", ttl: 120, data: { port: 9, target: "foreign.local" } },
      { name, type: "TXT", ttl: 120, data: "" },
      { name: "foreign.local", type: "A", ttl: 120, data: "127.0.0.9" },
      { name: "foreign.local", type: "AAAA", ttl: 120, data: "::9" },
    ]);
    const seen = await eventually(() => found.find((candidate) => candidate.host === "foreign.local"));
    expect(seen).toMatchObject({
      name: `foreign ${process.pid}`,
      port: 9,
      addresses: ["127.0.0.9", "::9"],
      txt: {},
    });
    expect(seen.id).toBeUndefined();
    await new Promise<void>((resolve) => foreign.destroy(resolve));
  });
});

describe("lies", () => {
  test("packets of every kind of nonsense harm nobody", async () => {
    const [a, b] = [await open(), await open()];
    const header = (counts: readonly number[], flags = 0x8400) => {
      const bytes = Buffer.alloc(12);
      bytes.writeUInt16BE(flags, 2);
      counts.forEach((count, index) => {
        bytes.writeUInt16BE(count, 4 + index * 2);
      });
      return bytes;
    };
    const loop = Buffer.concat([header([0, 1, 0, 0]), Buffer.of(0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 9, 0, 0)]);
    const chain = Buffer.concat([header([0, 400, 0, 0]), Buffer.alloc(8_000, Buffer.of(0xc0, 12))]);
    const random = Array.from({ length: 200 }, (_, seed) =>
      Buffer.from(Array.from({ length: seed * 5 }, (_, index) => (index * 31 + seed * 17) % 256)),
    );
    await shout([
      Buffer.alloc(0),
      header([65_535, 65_535, 65_535, 65_535]),
      header([1, 0, 0, 0], 0),
      loop,
      chain,
      Buffer.alloc(60_000, 0xc0),
      ...random,
    ]);
    const shown = service();
    const watcher = watch(b, [shown.id]);
    await a.advertise(shown);
    await eventually(() => watcher.services.has(shown.id));
  });
});

describe("opening and closing", () => {
  test("an interface that does not exist is refused, with those that do", async () => {
    await expect(openDnsSd({ interfaces: ["127.0.0.1", "nowhere9"] })).rejects.toMatchObject({
      code: "invalidOption",
      message: expect.stringContaining('"nowhere9"'),
      suggestions: [expect.stringContaining("127.0.0.1")],
    });
  });

  test("an interface is meant by its name or address; by default the loopback interface is among them", () => {
    const loopback = usableInterfaces(["127.0.0.1"]);
    expect(loopback).toMatchObject([{ address: "127.0.0.1", loopback: true }]);
    expect(usableInterfaces([loopback[0]!.name])).toEqual(loopback);
    expect(usableInterfaces()).toContainEqual(loopback[0]);
  });

  test("closing twice is closing once; afterwards nothing can be done", async () => {
    const a = await open();
    await Promise.all([a.close(), a.close()]);
    expect(() => a.browse("_hubcast._tcp", { up: () => {}, down: () => {} })).toThrow("closed");
    await expect(a.advertise(service())).rejects.toMatchObject({ code: "stopping" });
  });

  test("closing while a name is probed rejects the one who waits for it", async () => {
    const a = await open();
    const pending = expect(a.advertise(service())).rejects.toMatchObject({ code: "stopping" });
    await a.close();
    await pending;
  });

  test("a signal closes it; one that was given before opens nothing", async () => {
    const controller = new AbortController();
    const dnssd = await openDnsSd({ interfaces: ["127.0.0.1"], signal: controller.signal });
    controller.abort();
    await expect(dnssd.advertise(service())).rejects.toMatchObject({ code: "stopping" });
    await dnssd.close();
    await expect(openDnsSd({ signal: controller.signal })).rejects.toThrow();
  });

  test.each([
    ["port 0", { port: 0 }],
    ["port 65536", { port: 65_536 }],
    ["a long TXT entry", { txt: { cluster: "x".repeat(250) } }],
  ])("%s cannot be advertised", async (_, fields) => {
    const a = await open();
    await expect(a.advertise(service(fields))).rejects.toMatchObject({ code: "invalidOption" });
  });
});
