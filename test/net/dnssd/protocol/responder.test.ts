import { describe, expect, test } from "vitest";
import { response } from "../../../../src/net/dnssd/protocol/packet.js";
import { Lan, namesOf } from "./lan.js";
import { srv } from "./spoken.js";

const TYPE = "_hubcast._tcp.local";

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
    expect(namesOf(first)).toEqual(["web"]);
    expect(namesOf(second)).toEqual(["WEB (2)"]);
  });

  test("two that start in the same millisecond get one name each, and both agree who lost", () => {
    const lan = new Lan();
    const a = lan.advertise("web", "A");
    const b = lan.advertise("web", "B");
    lan.run(5_000);
    expect([...namesOf(a), ...namesOf(b)].sort()).toEqual(["web", "web (2)"]);
  });

  test("forty that start at once all have a name of their own within 10 s", () => {
    const lan = new Lan();
    const nodes = Array.from({ length: 40 }, (_, index) => lan.advertise("web", `N${index}`));
    lan.run(10_000);
    const names = nodes.flatMap(namesOf);
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
      expect(namesOf(node)).toEqual(["web"]);
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
    expect(namesOf(node)).toEqual(["web"]);
  });

  test("a goodbye for the name is no claim to it", () => {
    const lan = new Lan();
    const node = lan.advertise("web", "A");
    lan.run(100);
    lan.inject(response({ answers: [srv("web", "B", 0)] }));
    lan.run(3_000);
    expect(namesOf(node)).toEqual(["web"]);
  });

  test("an answer from another port than 5353 takes no name away", () => {
    const lan = new Lan();
    const node = lan.advertise("web", "A");
    lan.run(100);
    lan.inject(response({ answers: [srv("web", "B", 120)] }), { address: "10.0.0.99", port: 40_000 });
    lan.run(3_000);
    expect(namesOf(node)).toEqual(["web"]);
  });

  test("a name that was ours is given up only if somebody defends it", () => {
    const lan = new Lan();
    const node = lan.advertise("web", "A");
    lan.run(3_000);
    lan.inject(response({ answers: [srv("web", "B", 120)] }));
    lan.run(3_000);
    expect(namesOf(node)).toEqual(["web"]);
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
    expect(namesOf(node)).toHaveLength(1);
  });
});
