import { describe, expect, it } from "vitest";
import type { Peer } from "../../src/node/broadcast.js";
import { type AskedNode, nodeRowsOf } from "../../src/tui/assemble.js";
import { happenings } from "../../src/tui/happenings.js";
import { RateMeter } from "../../src/tui/rate.js";
import { FakeService } from "../fixtures/fake-service.js";
import { SCENE } from "./scene.js";

const NO_RATE = { perSecond: 0, history: [] };

function asked(name: string, more: Partial<AskedNode> = {}): AskedNode {
  return {
    url: `http://127.0.0.1/${name}`,
    isNamed: true,
    status: { ...new FakeService().status(), name, id: name },
    peers: [],
    fault: undefined,
    rates: { posts: NO_RATE, gossipIn: NO_RATE, gossipOut: NO_RATE },
    ...more,
  };
}

function peer(name: string, more: Partial<Peer> = {}): Peer {
  const place = { address: "127.0.0.1:4001", state: "connected", sinceMs: 1, agreement: "agrees" } as const;
  return { id: name, name, ...place, ...more };
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

describe("what happened between two looks", () => {
  it("is nothing when nothing changed", () => {
    expect(happenings(SCENE, SCENE)).toEqual([]);
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
    expect(happenings(before, after).map(({ text }) => text)).toEqual([
      "the set of kitchen differs",
      "node kitchen: 2 items are hidden now, behind one of the same id that was stamped earlier",
      "node hall is ready (nodeFull)",
      "node attic is gone",
      "hub hubcast: 3 clients closed, slowConsumer",
    ]);
  });
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
