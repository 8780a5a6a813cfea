import { describe, expect, it } from "vitest";
import type { ReplicaOptions } from "../../src/node/protocol/context.js";
import type { ReplicaEffect, ReplicaInput } from "../../src/node/protocol/messages.js";
import { Replica } from "../../src/node/protocol/replica.js";
import type { SimulationOptions } from "../../src/sim/index.js";
import { runWorld } from "./run.js";

const WORLD: Partial<SimulationOptions> = {
  nodes: 4,
  items: 100,
  loss: 0.1,
  partition: 2,
  churn: 0.5,
  durationMs: 8_000,
};

/** A replica with a bug between it and its shell. */
function bugged(
  change: (effects: readonly ReplicaEffect[], input: ReplicaInput) => readonly ReplicaEffect[],
) {
  return (options: ReplicaOptions) => {
    const replica = new Replica(options);
    const handle = replica.handle.bind(replica);
    replica.handle = (input, nowMs) => change(handle(input, nowMs), input);
    return replica;
  };
}

/** Answers at once, before anything is on disk. */
const answersEarly = bugged((effects, input) =>
  input.type === "posted" && !effects.some(({ type }) => type === "answer")
    ? [
        ...effects,
        {
          type: "answer",
          request: input.request,
          outcomes: input.items.map((item) => ({ status: "accepted", item })),
        },
      ]
    : effects,
);

/** Never offers what the other side lacks. */
const keepsForItself = bugged((effects) =>
  effects.filter(
    (effect) => effect.type !== "send" || (effect.frame.t !== "have" && effect.frame.t !== "items"),
  ),
);

/** Says that it holds what others asked about, whether it does or not. */
const promises = bugged((effects, input) =>
  input.type === "itemsReceived" || input.type === "gossiped"
    ? [
        ...effects,
        ...input.items.map(
          (item): ReplicaEffect => ({
            type: "send",
            peer: "nobody",
            frame: { t: "confirmed", digest: Buffer.from(item.digest, "hex") },
          }),
        ),
      ]
    : effects,
);

/** Forgets an item now and then, without a trace. */
function forgetful(options: ReplicaOptions): Replica {
  const replica = new Replica(options);
  const handle = replica.handle.bind(replica);
  replica.handle = (input, nowMs) => {
    const oldest = replica.holdings.set.first();
    if (oldest && input.type === "peerDown") replica.holdings.remove(oldest);
    return handle(input, nowMs);
  };
  return replica;
}

/** Takes everything that peers bring, from whatever time. */
function takesAnything(options: ReplicaOptions): Replica {
  return new Replica({ ...options, retentionMs: options.retentionMs + 10_000 });
}

/** Shows the latest of an id instead of the smallest. */
function showsLatest(options: ReplicaOptions): Replica {
  const replica = new Replica(options);
  const { view, set } = replica.holdings;
  view.get = (id) => [...set].findLast((item) => item.id === id);
  return replica;
}

describe("the checkers see a replica that", () => {
  it.each<[string, RegExp, (options: ReplicaOptions) => Replica, Partial<SimulationOptions>?]>([
    ["answers before the commit", /ruleBroken: rule answeredDurable/, answersEarly],
    ["promises before the commit", /ruleBroken: rule confirmedDurable/, promises],
    ["loses what it acknowledged", /ruleBroken: rule neverLost/, forgetful],
    [
      "takes what has expired",
      /ruleBroken: rule (notExpired|expires)/,
      takesAnything,
      { retentionMs: 5_000 },
    ],
    ["shows another item than the smallest", /ruleBroken: rule smallestSeen/, showsLatest],
    ["gives nothing to those behind", /disagreement: no agreement 60 s after/, keepsForItself],
  ])("%s", (_, said, makeReplica, options) => {
    const find = () => {
      for (let seed = 1; seed <= 10; seed++) runWorld({ ...WORLD, ...options, seed }, makeReplica);
    };
    expect(find).toThrow(said);
    expect(find).toThrow(/To see it again: hubcast broadcast simulate --nodes 4 .* --seed \d+$/);
  });

  it("has none of these", () => {
    for (let seed = 1; seed <= 10; seed++) runWorld({ ...WORLD, seed });
  });

  it("crashes", () => {
    const crashes = bugged((effects, input) => {
      if (input.type === "commitFailed") throw new TypeError("planted");
      return effects;
    });
    const find = () => {
      for (let seed = 1; seed <= 40; seed++) runWorld({ ...WORLD, disk: 1, seed }, crashes);
    };
    expect(find).toThrow(/^bug: planted\nTo see it again: /);
  });
});
