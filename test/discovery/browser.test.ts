import { describe, expect, test } from "vitest";
import { Browser } from "../../src/discovery/browser.js";
import { response } from "../../src/discovery/packet.js";
import { ptr, service } from "./spoken.js";
import { VirtualLink } from "./virtual-link.js";

const TYPE = "_hubcast._tcp.local";
const told = (station: { events: readonly { type: string }[] }) => station.events.map((event) => event.type);

describe("browsing", () => {
  test("asks at once, then after 1, 2, 4 ... seconds, at most once a minute", () => {
    const lan = new VirtualLink();
    const startMs = lan.nowMs;
    lan.browse();
    lan.run(200_000);
    const atS = lan.sent.map(({ atMs }) => (atMs - startMs) / 1_000);
    expect(atS).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183]);
  });

  test("a service is told with everything it shows, once", () => {
    const lan = new VirtualLink();
    lan.advertise("web", "A", { port: 4_001, txt: { cluster: "c" } });
    lan.run(5_000);
    const browser = lan.browse();
    lan.run(300_000);
    expect(told(browser)).toEqual(["up"]);
    expect(browser.events[0]).toMatchObject({
      service: {
        type: "_hubcast._tcp",
        name: "web",
        id: "A",
        host: "hubcast-A.local",
        port: 4_001,
        addresses: ["10.0.0.1"],
        txt: { txtvers: "1", cluster: "c", id: "A" },
      },
    });
  });

  test("two that start together see each other within a second", () => {
    const lan = new VirtualLink();
    const startMs = lan.nowMs;
    lan.advertise("a", "A");
    const watcher = lan.browse();
    lan.run(2_000);
    expect(watcher.events[0]!.atMs - startMs).toBeLessThan(1_000);
  });

  test("a living service stays up for an hour, and few packets are needed for it", () => {
    const lan = new VirtualLink();
    lan.advertise("web", "A");
    const browsers = [lan.browse(), lan.browse(), lan.browse()];
    lan.run(3_600_000);
    for (const browser of browsers) expect(told(browser)).toEqual(["up"]);
    expect(lan.sent.length).toBeLessThan(60 * 3 + 40 * 4);
  });

  test("a goodbye takes it down within a second", () => {
    const lan = new VirtualLink();
    const web = lan.advertise("web", "A");
    const browser = lan.browse();
    lan.run(5_000);
    const leftMs = lan.nowMs;
    web.close();
    lan.run(5_000);
    expect(told(browser)).toEqual(["up", "down"]);
    expect(browser.events[1]!.atMs - leftMs).toBeLessThan(1_000);
  });

  test("one that crashed is down when its records end, after two minutes, and was asked for before", () => {
    const lan = new VirtualLink();
    const web = lan.advertise("web", "A");
    const browser = lan.browse();
    lan.run(5_000);
    const crashedMs = lan.nowMs;
    web.crash();
    lan.run(150_000);
    expect(told(browser)).toEqual(["up", "down"]);
    expect(browser.events[1]!.atMs - crashedMs).toBeGreaterThan(100_000);
    expect(browser.events[1]!.atMs - crashedMs).toBeLessThan(121_000);
    const before = lan.sent.filter(({ atMs }) => atMs < browser.events[1]!.atMs);
    const refreshes = before.filter(({ packet }) => packet.questions.some(({ type }) => type === "SRV"));
    expect(refreshes).toHaveLength(4);
  });

  test("one that comes back with a new identity is down and up, never both", () => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    const first = lan.advertise("web", "A");
    lan.run(3_000);
    first.crash();
    lan.advertise("web", "B");
    lan.run(5_000);
    expect(told(browser).slice(0, 3)).toEqual(["up", "down", "up"]);
    expect(browser.machine.services("_hubcast._tcp").map(({ id }) => id)).toEqual(["B"]);
  });

  test("another port is a change", () => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    const first = lan.advertise("web", "A", { port: 4_000 });
    lan.run(3_000);
    first.crash();
    lan.advertise("web", "A", { port: 5_000 });
    lan.run(5_000);
    expect(told(browser)).not.toContain("down");
    expect(browser.machine.services("_hubcast._tcp")[0]).toMatchObject({ port: 5_000 });
  });

  test("who is known is named in the question and does not answer", () => {
    const lan = new VirtualLink();
    lan.advertise("web", "A");
    lan.browse();
    lan.run(5_000);
    lan.sent.length = 0;
    lan.run(30_000);
    expect(lan.sent.map(({ packet }) => packet.kind)).toEqual(["query", "query", "query"]);
    expect(lan.sent[0]!.packet.answers).toMatchObject([{ type: "PTR", data: `web.${TYPE}` }]);
  });

  test("what an announcement left out is asked for at once, and believed", () => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    lan.inject(response({ answers: [ptr("web")] }));
    lan.run(100);
    const asked = lan.sent.flatMap(({ packet }) =>
      packet.questions.map(({ type, name }) => `${type} ${name}`),
    );
    expect(asked).toEqual([`PTR ${TYPE}`, `SRV web.${TYPE}`, `TXT web.${TYPE}`]);
    lan.inject(response({ answers: service("web", "A", "10.0.0.7").slice(1) }));
    expect(browser.names()).toEqual(["web"]);
  });

  test("a new address with the flush bit replaces the old one in a second; those of one packet stay together", () => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    const addresses = () => browser.machine.services("_hubcast._tcp")[0]?.addresses.toSorted();
    lan.inject(response({ answers: service("web", "A", "10.0.0.7") }));
    lan.run(5_000);
    const renewed = ["10.0.0.8", "10.0.0.9"].map((address) => service("web", "A", address)[3]!);
    lan.inject(response({ answers: renewed }));
    expect(addresses()).toEqual(["10.0.0.7", "10.0.0.8", "10.0.0.9"]);
    lan.run(1_100);
    expect(addresses()).toEqual(["10.0.0.8", "10.0.0.9"]);
  });

  test("a link that goes away takes its services with it", () => {
    const lan = new VirtualLink();
    lan.advertise("web", "A");
    const browser = lan.browse();
    lan.run(5_000);
    browser.feed({ type: "linkDown", link: "lan" });
    expect(told(browser)).toEqual(["up", "down"]);
  });

  test("a service seen through two interfaces is one, with the addresses of both", () => {
    const browser = new Browser(() => 0);
    const feed = (input: Parameters<Browser["handle"]>[0]) => browser.handle(input, 1_000);
    for (const link of ["lo", "eth0"])
      feed({ type: "linkUp", link, interfaceAddress: link, loopback: link === "lo" });
    feed({ type: "browsed", service: "_hubcast._tcp" });
    const from = { address: "10.0.0.1", port: 5_353, inSubnet: true };
    const hear = (link: string, address: string) =>
      feed({ type: "packet", link, packet: response({ answers: service("web", "A", address) }), from });
    expect(hear("eth0", "10.0.0.1").map(({ type }) => type)).toEqual(["up"]);
    expect(hear("lo", "127.0.0.1")).toMatchObject([
      { type: "changed", service: { addresses: ["10.0.0.1", "127.0.0.1"], interfaceAddress: "eth0" } },
    ]);
    expect(feed({ type: "linkDown", link: "eth0" })).toMatchObject([
      { type: "changed", service: { addresses: ["127.0.0.1"], interfaceAddress: "lo" } },
    ]);
  });
});
