import { describe, expect, test } from "vitest";
import { type DnsPacket, query, response } from "../../src/discovery/packet.js";
import type { DnsRecord } from "../../src/discovery/records.js";
import { service, srv } from "./spoken.js";
import { namesOf, VirtualLink } from "./virtual-link.js";

const TYPE = "_hubcast._tcp.local";

describe("probing and announcing", () => {
  test("a name is asked for three times, 250 ms apart, then announced twice, a second apart", () => {
    const lan = new VirtualLink();
    lan.advertise("web", "A");
    lan.run(10_000);
    const start = lan.sent[0]!.atMs;
    expect(lan.sent.map(({ atMs, packet }) => [atMs - start, packet.kind])).toEqual([
      [0, "query"],
      [250, "query"],
      [500, "query"],
      [750, "response"],
      [1_750, "response"],
    ]);
    expect(lan.sent[0]!.packet.authorities.map((record) => record.type)).toEqual(["SRV", "TXT", "A"]);
  });

  test("records have the lives and flush bits that RFC 6762 gives them", () => {
    const lan = new VirtualLink();
    lan.advertise("web", "A");
    lan.run(2_000);
    const { answers } = lan.sent.at(-1)!.packet;
    expect(answers.map(({ type, ttlS, flush }) => [type, ttlS, flush])).toEqual([
      ["PTR", 4_500, false],
      ["PTR", 4_500, false],
      ["SRV", 120, true],
      ["TXT", 4_500, true],
      ["A", 120, true],
    ]);
    expect(answers[2]).toMatchObject({
      name: `web.${TYPE}`,
      data: { port: 4_000, target: "hubcast-A.local" },
    });
  });

  test("a closed service says goodbye for its own records, not for the type", () => {
    const lan = new VirtualLink();
    const web = lan.advertise("web", "A");
    lan.run(3_000);
    web.close();
    const { answers } = lan.sent.at(-1)!.packet;
    expect(answers.map(({ type, name, ttlS }) => [type, name, ttlS])).toEqual([
      ["PTR", TYPE, 0],
      ["SRV", `web.${TYPE}`, 0],
      ["TXT", `web.${TYPE}`, 0],
      ["A", "hubcast-A.local", 0],
    ]);
  });

  test("what was never announced needs no goodbye", () => {
    const lan = new VirtualLink();
    const web = lan.advertise("web", "A");
    lan.run(300);
    const count = lan.sent.length;
    web.close();
    expect(lan.sent).toHaveLength(count);
  });
});

describe("conflicts", () => {
  test("the second of one name becomes `name (2)`, in whatever case it writes it", () => {
    const lan = new VirtualLink();
    const first = lan.advertise("web", "A");
    lan.run(3_000);
    const second = lan.advertise("WEB", "B");
    lan.run(3_000);
    expect(namesOf(first)).toEqual(["web"]);
    expect(namesOf(second)).toEqual(["WEB (2)"]);
  });

  test("two that start in the same millisecond get one name each, and both agree who lost", () => {
    const lan = new VirtualLink();
    const a = lan.advertise("web", "A");
    const b = lan.advertise("web", "B");
    lan.run(5_000);
    expect([...namesOf(a), ...namesOf(b)].sort()).toEqual(["web", "web (2)"]);
  });

  test("forty that start at once all have a name of their own within 10 s", () => {
    const lan = new VirtualLink();
    const nodes = Array.from({ length: 40 }, (_, index) => lan.advertise("web", `N${index}`));
    lan.run(10_000);
    const names = nodes.flatMap(namesOf);
    expect(names).toHaveLength(40);
    expect(new Set(names).size).toBe(40);
    expect(names).toContain("web");
  });

  test("a member that restarts under its name keeps it, however often, with its identity or a new one", () => {
    const lan = new VirtualLink();
    const watcher = lan.browse();
    for (const id of ["A", "A", "B", "C", "C"]) {
      const node = lan.advertise("web", id);
      lan.run(2_000);
      expect(namesOf(node)).toEqual(["web"]);
      node.crash();
    }
    expect(watcher.names()).toContain("web");
  });

  test("the same identity is never a rival: a second network card, a reflected packet, an old port", () => {
    const lan = new VirtualLink();
    const node = lan.advertise("web", "A", { port: 4_000 });
    lan.run(100);
    lan.advertise("web", "A", { port: 5_000 });
    lan.run(5_000);
    expect(namesOf(node)).toEqual(["web"]);
  });

  test("a goodbye for the name is no claim to it", () => {
    const lan = new VirtualLink();
    const node = lan.advertise("web", "A");
    lan.run(100);
    lan.inject(response({ answers: [srv("web", "B", 0)] }));
    lan.run(3_000);
    expect(namesOf(node)).toEqual(["web"]);
  });

  test.each<[string, DnsRecord]>([
    ["port", srv("web", "A", 120, 9)],
    [
      "text",
      {
        ...service("web", "A", "10.0.0.1")[2]!,
        data: [Buffer.from("id=A"), Buffer.from("cluster=x")],
      } as DnsRecord,
    ],
    ["address", { ...service("web", "A", "10.0.0.66")[3]! }],
  ])("a false %s in the name of the same identity is contradicted, every 2 s at most", (_, lie) => {
    const lan = new VirtualLink();
    const browser = lan.browse();
    lan.advertise("web", "A", { port: 4_000, txt: { cluster: "ours" } });
    lan.run(5_000);
    const truth = browser.machine.services("_hubcast._tcp");
    lan.sent.length = 0;
    for (let count = 0; count < 19; count++) {
      lan.inject(response({ answers: [lie] }));
      lan.run(100);
    }
    const corrections = lan.sent.filter(({ packet }) => packet.answers.some(({ type }) => type === lie.type));
    expect(corrections).toHaveLength(1);
    lan.run(4_000);
    expect(browser.machine.services("_hubcast._tcp")).toEqual(truth);
  });

  test("an answer from another port than 5353 takes no name away", () => {
    const lan = new VirtualLink();
    const node = lan.advertise("web", "A");
    lan.run(100);
    lan.inject(response({ answers: [srv("web", "B", 120)] }), { address: "10.0.0.99", port: 40_000 });
    lan.run(3_000);
    expect(namesOf(node)).toEqual(["web"]);
  });

  test("a name that was ours is given up only if somebody defends it", () => {
    const lan = new VirtualLink();
    const node = lan.advertise("web", "A");
    lan.run(3_000);
    lan.inject(response({ answers: [srv("web", "B", 120)] }));
    lan.run(3_000);
    expect(namesOf(node)).toEqual(["web"]);
    expect(node.machine.label).toBe("web");
  });

  test("two networks with one name each that are joined end with two names", () => {
    const [east, west] = [new VirtualLink(), new VirtualLink()];
    const a = east.advertise("web", "A");
    east.run(3_000);
    west.advertise("web", "B");
    west.run(3_000);
    const announcement = west.sent.at(-1)!.packet;
    // B, in the east from now on, goes on to believe that the name is its own.
    const b = east.advertise("web", "B");
    east.run(50);
    east.inject(announcement);
    east.run(6_000);
    expect(new Set([a.machine.label, b.machine.label])).toEqual(new Set(["web", "web (2)"]));
  });

  /** A rival that answers each packet of the responder as `reply` says. */
  const dispute = (
    reply: (label: string, packet: DnsPacket) => DnsPacket | undefined,
    lengthMs = 120_000,
  ) => {
    const lan = new VirtualLink();
    const node = lan.advertise("web", "A");
    const labels = new Set<string>();
    const endMs = lan.nowMs + lengthMs;
    let seen = 0;
    while (lan.nowMs < endMs) {
      lan.run(50);
      labels.add(node.machine.label);
      const heard = lan.sent.at(-1);
      const said = lan.sent.length > seen && heard ? reply(node.machine.label, heard.packet) : undefined;
      seen = lan.sent.length;
      if (said) lan.inject(said);
    }
    return { lan, node, labels };
  };

  test.each([
    ["answers every probe", (label: string) => response({ answers: [srv(label, "LIAR", 120)] })],
    [
      "claims each name once it is announced, and defends it",
      (label: string, { kind }: DnsPacket) =>
        kind === "response" || label !== "web" ? response({ answers: [srv(label, "LIAR", 120)] }) : undefined,
    ],
    [
      "claims each name that is announced, and lets it go",
      (label: string, { kind }: DnsPacket) =>
        kind === "response" ? response({ answers: [srv(label, "LIAR", 120)] }) : undefined,
    ],
    [
      "probes whatever is probed",
      (label: string, { kind }: DnsPacket) =>
        kind === "query" ? query({ authorities: [srv(label, "ZZZ", 120, 65_535)] }) : undefined,
    ],
  ])("a rival that %s ends at a name that holds the identity", (_, reply) => {
    const { lan, node, labels } = dispute(reply);
    const unique = "web (559aead0)";
    expect(node.machine.label).toBe(unique);
    expect(namesOf(node).at(-1)).toBe(unique);
    expect(labels.size).toBeLessThanOrEqual(16);
    expect(namesOf(node).length).toBeLessThanOrEqual(16);
    expect(lan.sent.length).toBeLessThan(150);
    lan.sent.length = 0;
    lan.inject(query({ questions: [{ name: TYPE, type: "PTR", unicast: false }] }));
    lan.run(500);
    expect(lan.sent[0]!.packet.answers).toMatchObject([{ data: `${unique}.${TYPE}` }]);
    lan.run(2_000);
    expect(node.machine.wakeAtMs).toBe(Number.POSITIVE_INFINITY);
  });

  test("a dispute now and then costs no name", () => {
    const lan = new VirtualLink();
    const node = lan.advertise("web", "A");
    for (let day = 0; day < 100; day++) {
      lan.run(3_600_000);
      lan.inject(response({ answers: [srv("web", "B", 120)] }));
    }
    lan.run(5_000);
    expect(namesOf(node)).toEqual(["web"]);
  });
});

describe("goodbyes that the owner did not send", () => {
  const goodbyeFor = (lan: VirtualLink) =>
    response({ answers: lan.sent.at(-1)!.packet.answers.map((record) => ({ ...record, ttlS: 0 })) });

  test("are contradicted before anybody believes them, a few times a second at most", () => {
    const lan = new VirtualLink();
    lan.advertise("web", "A");
    const watcher = lan.browse();
    lan.run(5_000);
    const goodbye = goodbyeFor(lan);
    lan.sent.length = 0;
    for (let count = 0; count < 200; count++) {
      lan.inject(goodbye);
      lan.run(50);
    }
    lan.run(2_000);
    expect(watcher.events.map(({ type }) => type)).toEqual(["up"]);
    expect(lan.sent.length).toBeLessThanOrEqual(45);
  });

  test("of one record alone are contradicted too", () => {
    const lan = new VirtualLink();
    lan.advertise("web", "A");
    const watcher = lan.browse();
    lan.run(5_000);
    for (const record of goodbyeFor(lan).answers) {
      lan.inject(response({ answers: [record] }));
      lan.run(5_000);
    }
    expect(watcher.events.map(({ type }) => type)).toEqual(["up"]);
  });

  test("of others, and our own, are not", () => {
    const lan = new VirtualLink();
    const web = lan.advertise("web", "A");
    const other = lan.advertise("other", "B");
    lan.run(5_000);
    lan.sent.length = 0;
    web.close();
    other.crash();
    lan.inject(response({ answers: [srv("other", "B", 0)] }));
    lan.run(5_000);
    expect(lan.sent).toHaveLength(1);
  });
});
