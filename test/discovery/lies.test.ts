import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { response } from "../../src/discovery/packet.js";
import type { DnsRecord } from "../../src/discovery/records.js";
import { ptr, records, service } from "./spoken.js";
import { VirtualLink } from "./virtual-link.js";

const TYPE = "_hubcast._tcp.local";
const told = (station: { events: readonly { type: string }[] }) => station.events.map((event) => event.type);

describe("lies to a browser", () => {
  test("thousands of instances are bounded, said once, and forgotten", () => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    for (let index = 0; index < 5_000; index++) {
      lan.inject(response({ answers: service(`n${index}`, `I${index}`, "10.9.9.9") }));
    }
    expect(browser.names()).toHaveLength(1_024);
    expect(told(browser).filter((type) => type === "full")).toHaveLength(1);
    lan.run(4_600_000);
    expect(browser.names()).toEqual([]);
  });

  test("instances that never resolve are asked for a few times, then left", () => {
    const lan = new VirtualLink();
    lan.browse();
    for (let index = 0; index < 2_000; index++) lan.inject(response({ answers: [ptr(`n${index}`)] }));
    lan.run(60_000);
    const questions = lan.sent.flatMap(({ packet }) => packet.questions);
    expect(questions.length).toBeLessThanOrEqual(1_024 * 2 * 5 + 20);
    lan.sent.length = 0;
    lan.run(600_000);
    expect(lan.sent.flatMap(({ packet }) => packet.questions).length).toBeLessThan(20);
  });

  test("a host with hundreds of addresses keeps sixteen, an instance with hundreds of SRVs its newest", () => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    lan.inject(response({ answers: service("web", "A", "10.0.0.1") }));
    for (let index = 0; index < 500; index++) {
      lan.run(1);
      const address = `10.1.${index >> 8}.${index & 255}`;
      lan.inject(response({ answers: [{ ...service("web", "A", address)[3]!, flush: false }] }));
      const srv = service("web", "A", "10.0.0.1")[1] as Extract<DnsRecord, { type: "SRV" }>;
      lan.inject(response({ answers: [{ ...srv, flush: false, data: { ...srv.data, port: index + 1 } }] }));
    }
    const [found] = browser.machine.services("_hubcast._tcp");
    expect(found!.addresses).toHaveLength(16);
    expect(found!.port).toBe(500);
  });

  test("a PTR with the flush bit voids no other instance", () => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    lan.inject(response({ answers: service("web", "A", "10.0.0.1") }));
    lan.run(5_000);
    lan.inject(response({ answers: [{ ...ptr("liar"), flush: true }] }));
    lan.run(5_000);
    expect(browser.names()).toEqual(["web"]);
  });

  test("addresses that are heard again in another order are no change", () => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    const [one, two] = ["10.0.0.1", "10.0.0.2"].map((address) => service("web", "A", address)[3]!);
    lan.inject(response({ answers: [...service("web", "A", "10.0.0.1"), two!] }));
    const count = browser.events.length;
    for (const record of [two!, one!, two!]) {
      lan.run(100);
      lan.inject(response({ answers: [record] }));
    }
    expect(browser.events).toHaveLength(count);
  });

  test("a life of years is cut to 75 minutes", () => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    const records = service("web", "A", "10.0.0.1").map((record) => ({ ...record, ttlS: 4_294_967_295 }));
    lan.inject(response({ answers: records }));
    lan.run(4_500_000);
    expect(browser.names()).toEqual([]);
  });

  test.each([
    ["of another type", "web._http._tcp.local"],
    ["without a label", TYPE],
    ["with control characters", `a\u001b[31m.${TYPE}`],
    ["that is empty", ""],
    ["that is the root", "."],
  ])("an instance %s is none", (_, name) => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    const records = service("web", "A", "10.0.0.1").map((record): DnsRecord => {
      return record.type === "PTR" ? { ...record, data: name } : { ...record, name };
    });
    lan.inject(response({ answers: records }));
    expect(told(browser)).toEqual([]);
  });

  test("an answer from another port than 5353 is none", () => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    const from = { address: "10.0.0.9", port: 4_000 };
    lan.inject(response({ answers: service("web", "A", "10.0.0.1") }), from);
    expect(told(browser)).toEqual([]);
  });

  test("a sender of thousands keeps nobody else out", () => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    for (let index = 0; index < 2_000; index++)
      lan.inject(response({ answers: service(`n${index}`, `I${index}`, "10.9.9.9") }));
    lan.inject(response({ answers: service("web", "A", "10.0.0.7") }), { address: "10.0.0.7" });
    expect(browser.names()).toContain("web");
    expect(browser.names()).toHaveLength(1_024);
    for (let index = 0; index < 2_000; index++)
      lan.inject(response({ answers: service(`m${index}`, `J${index}`, "10.9.9.9") }));
    expect(browser.names()).toContain("web");
  });

  test("hubs that never resolve do not keep the room of nodes that died", () => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    browser.feed({ type: "browsed", service: "_hubcast-hub._tcp" });
    const type = "_hubcast-hub._tcp.local";
    const hub: DnsRecord = { name: type, type: "PTR", ttlS: 4_500, flush: false, data: `x.${type}` };
    lan.inject(response({ answers: [hub] }));
    for (let index = 0; index < 1_100; index++) lan.inject(response({ answers: [ptr(`n${index}`)] }));
    lan.inject(response({ answers: service("web", "A", "10.0.0.1") }));
    expect(browser.names()).toEqual(["web"]);
  });

  test("a thousand instances at one host are not all told of each of its addresses", () => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    for (let index = 0; index < 1_000; index++) {
      const [pointer, srv, txt, address] = service(`n${index}`, "A", "10.0.0.1");
      lan.inject(response({ answers: [pointer!, srv!, txt!, address!] }));
    }
    const before = browser.events.length;
    lan.inject(response({ answers: [{ ...service("x", "A", "10.0.0.2")[3]!, flush: false }] }));
    expect(browser.events.length - before).toBe(16);
  });

  test("a packet that changes the addresses of many hosts changes those of a few", () => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    const hosts = Array.from({ length: 32 }, (_, host) => host);
    for (const host of hosts)
      for (let index = 0; index < 16; index++)
        lan.inject(response({ answers: service(`n${host} ${index}`, `H${host}`, "10.0.0.1") }));
    const before = browser.events.length;
    const answers = hosts.map((host) => ({ ...service("x", `H${host}`, "10.0.0.2")[3]!, flush: false }));
    lan.inject(response({ answers }));
    expect(browser.events.length - before).toBe(32);
  });

  test.each([
    ["loopback", "127.0.0.1"],
    ["this host", "0.0.0.0"],
    ["a group", "224.0.0.251"],
    ["everybody", "255.255.255.255"],
    ["IPv6 loopback", "::1"],
    ["no IPv6 address", "::"],
    ["an IPv6 group", "ff02::1"],
    ["loopback in IPv6", "::ffff:7f00:1"],
  ])("%s is nobody's address on a network", (_, address) => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    const records = service("web", "A", address).map(
      (record): DnsRecord =>
        record.type === "A" && address.includes(":") ? { ...record, type: "AAAA" } : record,
    );
    lan.inject(response({ answers: records }));
    expect(told(browser)).toEqual([]);
  });

  test("a host name with control characters is none", () => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    const records = service("web", "A\u001b[31m", "10.0.0.1");
    lan.inject(response({ answers: records }));
    expect(told(browser)).toEqual([]);
  });

  test("records of one second's life wake the browser ten times a second at most", () => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    for (let index = 0; index < 900; index++) {
      const records = service(`n${index}`, `I${index}`, "10.0.0.1").map((record) => ({ ...record, ttlS: 1 }));
      lan.inject(response({ answers: records }));
      lan.run(1);
    }
    let wakes = 0;
    for (; browser.names().length > 0 && wakes < 1_000; wakes++)
      lan.run(browser.machine.wakeAtMs - lan.nowMs);
    expect(wakes).toBeLessThanOrEqual(12);
  });

  test("whatever is said, the browser stays within its bounds, tells up before down, and comes to rest", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(records(), fc.nat(200_000)), { maxLength: 30 }), (steps) => {
        const lan = new VirtualLink();
        const browser = lan.browse();
        for (const [answers, waitMs] of steps) {
          lan.inject(response({ answers }));
          lan.run(waitMs);
        }
        const open = new Set<string>();
        for (const event of browser.events) {
          if (event.type !== "up" && event.type !== "down" && event.type !== "changed") continue;
          const key = JSON.stringify([event.service.name, event.service.id]);
          expect(open.has(key)).toBe(event.type !== "up");
          if (event.type === "up") open.add(key);
          if (event.type === "down") open.delete(key);
        }
        expect(open.size).toBe(browser.names().length);
        lan.run(4_600_000);
        expect(browser.names()).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});
