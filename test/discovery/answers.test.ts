import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { query } from "../../src/discovery/packet.js";
import type { DnsRecord } from "../../src/discovery/records.js";
import { records, srv } from "./spoken.js";
import { namesOf, VirtualLink } from "./virtual-link.js";

const TYPE = "_hubcast._tcp.local";
const ask = (question: string, type: string, answers: readonly DnsRecord[] = []) =>
  query({ questions: [{ name: question, type, unicast: false }], answers });
const types = (found: readonly DnsRecord[]) => found.map((record) => record.type);

describe("answers", () => {
  const announced = () => {
    const lan = new VirtualLink();
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
    expect(lan.sent[0]!.to).toMatchObject({ address: "10.0.0.99", port: 5353 });
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
    expect(to).toMatchObject(resolver);
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

  test("an asker whose address is in none of our subnets gets no packet of its own", () => {
    const lan = announced();
    lan.inject(ask(TYPE, "PTR"), { address: "8.8.8.8", port: 40_000, inSubnet: false });
    lan.inject(query({ questions: [{ name: TYPE, type: "PTR", unicast: true }] }), {
      address: "8.8.8.8",
      inSubnet: false,
    });
    lan.run(2_000);
    expect(lan.sent.map(({ to }) => to)).toEqual([undefined]);
  });

  test("known answers in the name of an asker that has no more to send take nothing off", () => {
    const lan = announced();
    const known: DnsRecord = { name: TYPE, type: "PTR", ttlS: 4_500, flush: false, data: `web.${TYPE}` };
    lan.inject(ask(TYPE, "PTR"));
    lan.inject(query({ answers: [known] }));
    lan.run(2_000);
    expect(lan.sent).toHaveLength(1);
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
      const lan = new VirtualLink();
      const node = lan.advertise("a", "X");
      for (const [said, sender, waitMs] of steps) {
        lan.inject(said, sender);
        lan.run(waitMs);
      }
      expect(lan.sent.length).toBeLessThanOrEqual(steps.length * 8 + 8);
      expect(Buffer.byteLength(node.machine.label)).toBeLessThanOrEqual(63);
      lan.run(60_000);
      expect(namesOf(node)).toContain(node.machine.label);
      expect(node.machine.wakeAtMs).toBe(Number.POSITIVE_INFINITY);
    }),
    { numRuns: 300 },
  );
});
