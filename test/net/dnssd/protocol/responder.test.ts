import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { query, response } from "../../../../src/net/dnssd/protocol/packet.js";
import type { DnsRecord } from "../../../../src/net/dnssd/protocol/records.js";
import { records } from "./arbitrary.js";
import { Lan } from "./lan.js";

const TYPE = "_hubcast._tcp.local";
const name = (station: { events: readonly { type: string }[] }) =>
  station.events.flatMap((event) =>
    event.type === "announced" ? [(event as unknown as { name: string }).name] : [],
  );
const ask = (question: string, type: string, answers: readonly DnsRecord[] = []) =>
  query({ questions: [{ name: question, type, unicast: false }], answers });
const types = (records: readonly DnsRecord[]) => records.map((record) => record.type);

describe("probing and announcing", () => {
  test("a name is asked for three times, 250 ms apart, then announced twice, a second apart", () => {
    const lan = new Lan();
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
    const lan = new Lan();
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
    const lan = new Lan();
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
    const lan = new Lan();
    const web = lan.advertise("web", "A");
    lan.run(300);
    const count = lan.sent.length;
    web.close();
    expect(lan.sent).toHaveLength(count);
  });
});

describe("conflicts", () => {
  test("the second of one name becomes `name (2)`, in whatever case it writes it", () => {
    const lan = new Lan();
    const first = lan.advertise("web", "A");
    lan.run(3_000);
    const second = lan.advertise("WEB", "B");
    lan.run(3_000);
    expect(name(first)).toEqual(["web"]);
    expect(name(second)).toEqual(["WEB (2)"]);
  });

  test("two that start in the same millisecond get one name each, and both agree who lost", () => {
    const lan = new Lan();
    const a = lan.advertise("web", "A");
    const b = lan.advertise("web", "B");
    lan.run(5_000);
    expect([...name(a), ...name(b)].sort()).toEqual(["web", "web (2)"]);
  });

  test("forty that start at once all have a name of their own within 10 s", () => {
    const lan = new Lan();
    const nodes = Array.from({ length: 40 }, (_, index) => lan.advertise("web", `N${index}`));
    lan.run(10_000);
    const names = nodes.flatMap(name);
    expect(names).toHaveLength(40);
    expect(new Set(names).size).toBe(40);
    expect(names).toContain("web");
  });

  test("a member that restarts under its name keeps it, however often, with its identity or a new one", () => {
    const lan = new Lan();
    const watcher = lan.browse();
    for (const id of ["A", "A", "B", "C", "C"]) {
      const node = lan.advertise("web", id);
      lan.run(2_000);
      expect(name(node)).toEqual(["web"]);
      node.crash();
    }
    expect(watcher.names()).toContain("web");
  });

  test("the same identity is never a rival: a second network card, a reflected packet, an old port", () => {
    const lan = new Lan();
    const node = lan.advertise("web", "A", { port: 4_000 });
    lan.run(100);
    lan.advertise("web", "A", { port: 5_000 });
    lan.run(5_000);
    expect(name(node)).toEqual(["web"]);
  });

  test("a goodbye for the name is no claim to it", () => {
    const lan = new Lan();
    const node = lan.advertise("web", "A");
    lan.run(100);
    lan.inject(response({ answers: [srv("web", "B", 0)] }));
    lan.run(3_000);
    expect(name(node)).toEqual(["web"]);
  });

  test("an answer from another port than 5353 takes no name away", () => {
    const lan = new Lan();
    const node = lan.advertise("web", "A");
    lan.run(100);
    lan.inject(response({ answers: [srv("web", "B", 120)] }), { address: "10.0.0.99", port: 40_000 });
    lan.run(3_000);
    expect(name(node)).toEqual(["web"]);
  });

  test("a name that was ours is given up only if somebody defends it", () => {
    const lan = new Lan();
    const node = lan.advertise("web", "A");
    lan.run(3_000);
    lan.inject(response({ answers: [srv("web", "B", 120)] }));
    lan.run(3_000);
    expect(name(node)).toEqual(["web"]);
    expect(node.machine.label).toBe("web");
  });

  test("two networks with one name each that are joined end with two names", () => {
    const [east, west] = [new Lan(), new Lan()];
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

  test("a liar that claims every name slows the node down to one try in five seconds", () => {
    const lan = new Lan();
    const node = lan.advertise("web", "A");
    const endMs = lan.nowMs + 120_000;
    let seen = 0;
    while (lan.nowMs < endMs) {
      lan.run(50);
      if (lan.sent.length > seen) lan.inject(response({ answers: [srv(node.machine.label, "LIAR", 120)] }));
      seen = lan.sent.length;
    }
    expect(lan.sent.length).toBeGreaterThan(15);
    expect(lan.sent.length).toBeLessThan(60);
    lan.run(10_000);
    expect(name(node)).toHaveLength(1);
  });
});

describe("answers", () => {
  const announced = () => {
    const lan = new Lan();
    lan.advertise("web", "A");
    lan.run(5_000);
    lan.sent.length = 0;
    return lan;
  };

  test.each([
    [TYPE, "PTR", ["PTR"], ["SRV", "TXT", "A"]],
    [TYPE.toUpperCase(), "PTR", ["PTR"], ["SRV", "TXT", "A"]],
    [TYPE, "ANY", ["PTR"], ["SRV", "TXT", "A"]],
    ["_services._dns-sd._udp.local", "PTR", ["PTR"], []],
    [`web.${TYPE}`, "SRV", ["SRV"], ["A"]],
    [`web.${TYPE}`, "TXT", ["TXT"], []],
    [`web.${TYPE}`, "ANY", ["SRV", "TXT"], ["A"]],
    ["hubcast-a.local", "A", ["A"], []],
    ["hubcast-A.local", "AAAA", ["NSEC"], []],
    [`web.${TYPE}`, "A", ["NSEC"], []],
  ])("%s %s is answered with %j and additional %j", (question, type, answers, additionals) => {
    const lan = announced();
    lan.inject(ask(question, type));
    lan.run(200);
    expect(lan.sent.map(({ packet }) => [types(packet.answers), types(packet.additionals)])).toEqual([
      [answers, additionals],
    ]);
  });

  test.each([
    [`other.${TYPE}`, "SRV"],
    ["_http._tcp.local", "PTR"],
    [TYPE, "TXT"],
    ["hubcast-B.local", "A"],
    ["", "ANY"],
  ])("%s %s is none of ours", (question, type) => {
    const lan = announced();
    lan.inject(ask(question, type));
    lan.run(2_000);
    expect(lan.sent).toEqual([]);
  });

  test("an answer that the asker knows for half its life is not given, an older one is", () => {
    const lan = announced();
    const known = (ttlS: number): DnsRecord => ({
      name: TYPE,
      type: "PTR",
      ttlS,
      flush: false,
      data: `Web.${TYPE}`,
    });
    lan.inject(ask(TYPE, "PTR", [known(2_250)]));
    lan.run(2_000);
    expect(lan.sent).toEqual([]);
    lan.inject(ask(TYPE, "PTR", [known(2_249)]));
    lan.run(2_000);
    expect(lan.sent).toHaveLength(1);
  });

  test("known answers that follow in a second packet count as well", () => {
    const lan = announced();
    const known: DnsRecord = { name: TYPE, type: "PTR", ttlS: 4_500, flush: false, data: `web.${TYPE}` };
    lan.inject({ ...ask(TYPE, "PTR"), truncated: true });
    lan.run(100);
    lan.inject(query({ answers: [known] }));
    lan.run(2_000);
    expect(lan.sent).toEqual([]);
  });

  test("a record is multicast once a second at most, however often it is asked for", () => {
    const lan = announced();
    for (let count = 0; count < 100; count++) {
      lan.inject(ask(TYPE, "PTR"));
      lan.run(50);
    }
    expect(lan.sent.length).toBeGreaterThan(3);
    expect(lan.sent.length).toBeLessThanOrEqual(6);
  });

  test("a question that would take a direct answer gets one while the others still have the record", () => {
    const lan = announced();
    lan.inject(query({ questions: [{ name: TYPE, type: "PTR", unicast: true }] }));
    expect(lan.sent[0]!.to).toEqual({ address: "10.0.0.99", port: 5353 });
    lan.sent.length = 0;
    lan.run(1_200_000);
    lan.inject(query({ questions: [{ name: TYPE, type: "PTR", unicast: true }] }));
    lan.run(200);
    expect(lan.sent.map(({ to }) => to)).toEqual([undefined]);
  });

  test("a resolver that knows no multicast DNS gets its id and question back, a short life, no flush bit", () => {
    const lan = announced();
    const resolver = { address: "10.0.0.7", port: 40_000 };
    lan.inject({ ...ask(`web.${TYPE}`, "SRV"), id: 77 }, resolver);
    expect(lan.sent).toHaveLength(1);
    const { to, packet } = lan.sent[0]!;
    expect(to).toEqual(resolver);
    expect(packet.id).toBe(77);
    expect(packet.questions).toHaveLength(1);
    for (const record of [...packet.answers, ...packet.additionals]) {
      expect(record).toMatchObject({ ttlS: 10, flush: false });
    }
  });

  test("direct answers are bounded: the asker's address may be forged", () => {
    const lan = announced();
    const forged = { address: "10.0.0.7", port: 40_000 };
    for (let count = 0; count < 1_000; count++) lan.inject(ask(TYPE, "PTR"), forged);
    expect(lan.sent).toHaveLength(100);
  });

  test("a probe is answered at once, also when the record was sent half a second before", () => {
    const lan = announced();
    lan.inject(ask(`web.${TYPE}`, "ANY"));
    lan.run(500);
    const probe = { ...ask(`web.${TYPE}`, "ANY"), authorities: [srv("web", "B", 120)] };
    lan.inject(probe);
    expect(lan.sent).toHaveLength(2);
    expect(lan.sent.map(({ to }) => to)).toEqual([undefined, undefined]);
  });
});

test("whatever is said, the responder sends within its bounds, and its name fits", () => {
  const packet = fc.record({
    kind: fc.constantFrom("query" as const, "response" as const),
    id: fc.nat(65_535),
    truncated: fc.boolean(),
    questions: fc.array(
      fc.record({
        name: fc.constantFrom(TYPE, `a.${TYPE}`, "hubcast-x.local", "_services._dns-sd._udp.local", ""),
        type: fc.constantFrom("PTR", "ANY", "SRV", "A", "UNKNOWN_9"),
        unicast: fc.boolean(),
      }),
      { maxLength: 4 },
    ),
    answers: records(),
    authorities: records(),
    additionals: records(),
  });
  const from = fc.record({
    address: fc.constantFrom("10.0.0.8", "10.0.0.9"),
    port: fc.constantFrom(5_353, 9),
  });
  fc.assert(
    fc.property(fc.array(fc.tuple(packet, from, fc.nat(2_000)), { maxLength: 40 }), (steps) => {
      const lan = new Lan();
      const node = lan.advertise("a", "X");
      for (const [said, sender, waitMs] of steps) {
        lan.inject(said, sender);
        lan.run(waitMs);
      }
      expect(lan.sent.length).toBeLessThanOrEqual(steps.length * 8 + 8);
      expect(Buffer.byteLength(node.machine.label)).toBeLessThanOrEqual(63);
      lan.run(60_000);
      expect(name(node)).toContain(node.machine.label);
      expect(node.machine.wakeAtMs).toBe(Number.POSITIVE_INFINITY);
    }),
    { numRuns: 300 },
  );
});

function srv(label: string, id: string, ttlS: number): DnsRecord {
  const data = { priority: 0, weight: 0, port: 1, target: `hubcast-${id}.local` };
  return { name: `${label}.${TYPE}`, type: "SRV", ttlS, flush: true, data };
}
