import { describe, expect, it } from "vitest";
import { agreementOf } from "../../src/cli/agreement.js";
import type { Peer } from "../../src/node/broadcast.js";
import { eventsBetween } from "../../src/tui/collect.js";
import { RateMeter, topOf } from "../../src/tui/figures.js";
import { type AskedNode, nodeRowsOf, verdictsOf } from "../../src/tui/snapshot.js";
import { nodeStatus, peer } from "../fixtures/node-answers.js";
import { SCENE } from "./scene.js";

const NO_RATE = { perSecond: 0, history: [] };

function asked(name: string, more: Partial<AskedNode> = {}): AskedNode {
  return {
    url: `http://127.0.0.1/${name}`,
    isNamed: true,
    status: nodeStatus({ name, id: name }),
    peers: [],
    fault: undefined,
    rates: { posts: NO_RATE, gossipIn: NO_RATE, gossipOut: NO_RATE },
    ...more,
  };
}

const FAULT = { kind: "unreachable", message: "no node answers" } as const;
const states = (nodes: readonly AskedNode[]) =>
  nodeRowsOf(nodes).map(({ name, state }) => `${name} ${state}`);

describe("rows of nodes", () => {
  it("are one for each node, whoever tells of it", () => {
    const nodes = [
      asked("a", { peers: [peer("b"), peer("c")] }),
      asked("b", { peers: [peer("a"), peer("c")] }),
    ];
    expect(states(nodes)).toEqual(["a ready", "b ready", "c connected"]);
  });

  it("mark the one that its peers find to differ, not those that find it", () => {
    const nodes = [
      asked("a", { peers: [peer("b"), peer("c", { agreement: "differs" })] }),
      asked("b", { peers: [peer("a"), peer("c", { agreement: "differs" })] }),
      asked("c", { peers: [peer("a", { agreement: "differs" }), peer("b", { agreement: "differs" })] }),
    ];
    expect(nodeRowsOf(nodes).map(({ agreement }) => agreement)).toEqual(["agrees", "agrees", "differs"]);
  });

  it("say that a named node does not answer, whatever its peers think", () => {
    const nodes = [asked("a", { peers: [peer("b")] }), asked("b", { fault: FAULT })];
    expect(states(nodes)).toEqual(["a ready", "b unreachable"]);
  });

  it("leave a found node that does not answer to its peers' words, and drop it without any", () => {
    const silent = { isNamed: false, fault: FAULT, status: undefined };
    expect(states([asked("a", { peers: [peer("b", { state: "left" })] }), asked("b", silent)])).toEqual([
      "a ready",
      "b left",
    ]);
  });

  it("believe the peer that still hears a node", () => {
    const nodes = [asked("a", { peers: [peer("c", { state: "lost" })] }), asked("b", { peers: [peer("c")] })];
    expect(states(nodes)).toEqual(["a ready", "b ready", "c connected"]);
  });
});

describe("a node that started again with another id", () => {
  it("is told to have started again", () => {
    const rows = (id: string) => nodeRowsOf([asked("a", { peers: [peer("hall", { id })] })]);
    const told = eventsBetween({ nodes: rows("1"), hubs: [] }, { nodes: rows("2"), hubs: [] });
    expect(told.map(({ text }) => text)).toEqual(["node hall has started again"]);
  });
});

describe("the verdict on all nodes", () => {
  const said = (...peers: Peer[]) => verdictsOf(nodeRowsOf([asked("a", { peers })])).map(({ text }) => text);

  it.each<readonly [string, Peer[], string[]]>([
    ["all agree", [peer("b"), peer("c")], ["= agree"]],
    ["a node is alone", [], ["alone"]],
    ["one was lost", [peer("b"), peer("c", { state: "lost" })], ["! 1 lost"]],
    ["the only other one was lost", [peer("b", { state: "lost" })], ["! 1 lost"]],
    ["one said goodbye", [peer("b"), peer("c", { state: "left" })], ["= agree"]],
    ["one has not said what it holds", [peer("b"), peer("c", { agreement: "unknown" })], ["? 1 unknown"]],
    [
      "an address leads to nobody",
      [peer("b"), peer("c", { state: "unreached" })],
      ["= agree", "? 1 not reached"],
    ],
    ["one accepts other items", [peer("b"), peer("c", { agreement: "differsByPolicy" })], ["~ 1 by policy"]],
  ])("when %s agrees with broadcast check", (_case, peers, verdicts) => {
    expect(said(...peers)).toEqual(verdicts);
    const { agreed } = agreementOf(asked("a").status!, peers);
    expect(verdicts.every((text) => ["= agree", "alone", "? 1 not reached"].includes(text))).toBe(agreed);
  });

  it("is not good while a node is degraded, and its row says why and of whom", () => {
    const detail = { code: "policyDiffers", message: "", advice: "", peer: { id: "b", name: "b" } } as const;
    const degraded = {
      ...asked("a").status!,
      ...({ state: "degraded", reasons: ["policyDiffers", "nodeFull"], details: [detail] } as const),
    };
    const rows = nodeRowsOf([
      asked("a", { status: degraded, peers: [peer("b", { reasons: ["policyDiffers"] })] }),
    ]);
    expect(verdictsOf(rows).map(({ text }) => text)).toEqual(["! 1 degraded"]);
    expect(rows.map(({ detail }) => detail)).toEqual(["policyDiffers: b; nodeFull", "policyDiffers"]);
  });

  it("counts a named node that does not answer", () => {
    const rows = nodeRowsOf([asked("a", { peers: [peer("b")] }), asked("c", { fault: FAULT })]);
    expect(verdictsOf(rows)).toEqual([{ tone: "bad", text: "! 1 silent" }]);
  });
});

describe("what happened between two looks", () => {
  it("is nothing when nothing changed", () => {
    expect(eventsBetween(SCENE, SCENE)).toEqual([]);
  });

  it("is told of nodes, sets, hubs and items", () => {
    const [kitchen, hall, ...others] = SCENE.nodes;
    const [hub, other] = SCENE.hubs;
    const before = { ...SCENE, nodes: [{ ...kitchen!, hidden: 1 }, hall!, ...others] };
    const after = {
      nodes: [
        { ...kitchen!, agreement: "differs" as const, hidden: 3 },
        { ...hall!, state: "ready" as const },
        ...others.slice(1),
      ],
      hubs: [{ ...hub!, closed: { clientClosed: 9, slowConsumer: 5 } }, other!],
    };
    expect(eventsBetween(before, after).map(({ text }) => text)).toEqual([
      "the set of kitchen differs",
      "node kitchen: 2 items are hidden now, behind one of the same id that was stamped earlier",
      "node hall is ready (nodeFull)",
      "node attic is gone",
      "hub hubcast: 3 clients closed, slowConsumer",
    ]);
  });
});

it.each([
  [[], 1],
  [[0.2], 1],
  [[12, 199], 200],
  [[201], 500],
  [[1_000], 1_000],
  [[1_001], 2_000],
])("graphs of %j go up to %d", (history, top) => {
  expect(topOf([{ perSecond: 0, history }, undefined])).toBe(top);
});

describe("a rate", () => {
  it("is what a counter gained over the last second", () => {
    const meter = new RateMeter();
    for (let atMs = 0; atMs <= 5_000; atMs += 250) meter.record(atMs <= 2_000 ? atMs : 2_000, atMs);
    expect(meter.rate.perSecond).toBe(0);
    expect(meter.rate.history).toEqual([0, 1_000, 1_000, 0, 0, 0]);
  });

  it("begins again when the server did", () => {
    const meter = new RateMeter();
    meter.record(1_000_000, 0);
    meter.record(5, 250);
    meter.record(30, 500);
    expect(meter.rate.perSecond).toBe(100);
  });
});
