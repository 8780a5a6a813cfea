import { createSocket } from "node:dgram";
import { fileURLToPath } from "node:url";
import multicastDns from "multicast-dns";
import { describe, expect, test } from "vitest";
import type { AdvertisedService, DiscoveredService } from "../../src/discovery/index.js";
import { eventually } from "../fixtures/eventually.js";
import { LineProcess } from "../fixtures/line-process.js";
import { open, service, watch } from "./loopback.js";

const PEER = fileURLToPath(new URL("../fixtures/dnssd-peer.js", import.meta.url));

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
