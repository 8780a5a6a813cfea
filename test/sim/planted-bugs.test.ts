import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/limits.js";
import type { Sketch } from "../../src/node/negentropy/sketch.js";
import type { ReplicaOptions } from "../../src/node/replica/context.js";
import { type MemberRecord, memberHash } from "../../src/node/replica/member.js";
import type { DisconnectReason, ReplicaEffect, ReplicaInput } from "../../src/node/replica/messages.js";
import { Replica } from "../../src/node/replica/replica.js";
import type { Frame } from "../../src/node/replica/wire.js";
import type { SimulationOptions } from "../../src/sim/index.js";
import { runWorld } from "./run.js";

type Plant = (options: ReplicaOptions) => Replica;

const WORLD: Partial<SimulationOptions> = {
  nodes: 4,
  items: 100,
  loss: 0.1,
  partition: 2,
  churn: 0.5,
  durationMs: 8_000,
};
const TWO = { ...WORLD, nodes: 2, churn: 0, loss: 0.05 };
const EXPIRING = { ...WORLD, nodes: 3, partition: 1, retentionMs: 6_000 };
/** The seed leaves, then halves lose each other. */
const APART = { ...WORLD, nodes: 8, items: 20, churn: 0, loss: 0, durationMs: 20_000 };
/** Not all are linked with all, and links break. */
const MANY = { ...WORLD, nodes: 14, partition: 1, churn: 0.5, durationMs: 15_000 };
/** More than may be linked with one. */
const CROWD = { ...WORLD, nodes: 30, items: 10, loss: 0, partition: 1, churn: 0, durationMs: 3_000 };
/** Nothing goes wrong, and not all are linked with all. */
const QUIET = { ...CROWD, nodes: 14, items: 60, durationMs: 8_000 };

/** They come to differ in many items. */
const LARGE = { ...WORLD, nodes: 5, items: 1_200, partition: 3 };

/** One of three has a clock that is wrong, or lied about. */
const CLOCKS = { ...WORLD, nodes: 3, partition: 1, loss: 0.05, churn: 0.3, disk: 1, clocks: 0.4 };

/** No majority says which of two clocks is wrong. */
const PAIR = { ...CLOCKS, nodes: 2, clocks: 0.5 };

/** A replica with a bug between it and its shell. */
function bugged(
  change: (
    effects: readonly ReplicaEffect[],
    input: ReplicaInput,
    replica: Replica,
    nowMs: number,
  ) => readonly ReplicaEffect[],
): Plant {
  return (options) => {
    const replica = new Replica(options);
    const handle = replica.handle.bind(replica);
    replica.handle = (input, nowMs) => change(handle(input, nowMs), input, replica, nowMs);
    return replica;
  };
}

/** A replica with a bug in one of its parts. */
function altered(alter: (replica: Replica) => void): Plant {
  return (options) => {
    const replica = new Replica(options);
    alter(replica);
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
const keepsForItself = dropsFrames("have", "items");

function dropsFrames(...types: readonly Frame["t"][]): Plant {
  return bugged((effects) =>
    effects.filter((effect) => effect.type !== "send" || !types.includes(effect.frame.t)),
  );
}

/** Counts those who have not answered among the holders. */
const promises = bugged((effects) =>
  effects.map((effect) => {
    if (effect.type !== "receipt") return effect;
    const { receipt } = effect;
    const holders = [...receipt.holders, ...receipt.missing.map((member) => ({ ...member, afterMs: 0 }))];
    return { ...effect, receipt: { ...receipt, holders, missing: [] } };
  }),
);

/** Forgets an item now and then, without a trace. */
const forgetful = bugged((effects, input, { holdings }) => {
  const oldest = holdings.set.first();
  if (oldest && input.type === "linkDown") holdings.remove(oldest);
  return effects;
});

/** Takes everything that peers bring, from whatever time. */
const takesAnything: Plant = (options) => {
  const replica = new Replica({ ...options, retentionMs: options.retentionMs + 10_000 });
  const window = replica.window.bind(replica);
  replica.window = (nowMs) => window(nowMs + 10_000);
  return replica;
};

/** Shows the latest of an id instead of the smallest. */
const showsLatest = altered(({ holdings: { view, set } }) => {
  view.get = (id) => [...set].findLast((item) => item.id === id);
});

/** Of items of one id and instant shows the one with the largest digest; other nodes of the world do not. */
const breaksTies: Plant = (options) => {
  const replica = new Replica(options);
  const { view, set } = replica.holdings;
  const get = view.get.bind(view);
  if (options.id.startsWith("node-1"))
    view.get = (id) => {
      const first = get(id);
      return first && [...set].findLast((item) => item.id === id && item.timestampMs === first.timestampMs);
    };
  return replica;
};

/** Items that an answer to a `want` left out are not asked for again. */
const forgetsRest = altered(({ wants }) => {
  const [answered, next] = [wants.answered.bind(wants), wants.next.bind(wants)];
  const asked = new Map<string, number[]>();
  wants.next = (peer, isKnown, nowMs) => {
    const lists = next(peer, isKnown, nowMs);
    asked.set(peer, [...(asked.get(peer) ?? []), ...lists.map(({ length }) => length)]);
    return lists;
  };
  wants.answered = (peer, served, received, bytes, nowMs) => {
    const wanted = asked.get(peer)?.shift() ?? 0;
    const isGood = answered(peer, served, received, bytes, nowMs);
    if (isGood && served < wanted) wants.dropQueue(peer);
    return isGood;
  };
});

/** Compares from one step earlier, where items are about to expire. */
const comparesEarlier = altered((replica) => {
  const window = replica.window.bind(replica);
  replica.window = (nowMs) => {
    const { sinceMs, settledMs } = window(nowMs);
    return { sinceMs: sinceMs - 60_000, settledMs };
  };
});

/** Expired items stay on the disk. */
const keepsExpired = bugged((effects) =>
  effects.map((effect) => (effect.type === "commit" ? { ...effect, remove: [] } : effect)),
);

/** Wants to be woken a millisecond before something expires, and finds nothing to do then. */
const wakesEarly: Plant = (options) => {
  const replica = new Replica(options);
  const wakeAtMs = () => Object.getOwnPropertyDescriptor(Replica.prototype, "wakeAtMs")!.get!.call(replica);
  Object.defineProperty(replica, "wakeAtMs", {
    get: () => {
      const oldest = replica.holdings.set.first();
      return Math.min(wakeAtMs(), oldest ? oldest.timestampMs + options.retentionMs - 1 : Infinity);
    },
  });
  return replica;
};

/** Never dials a member that is lost. */
const abandons = bugged((effects, _, { roster }) =>
  effects.filter(
    (effect) =>
      effect.type !== "dial" || effect.peer === undefined || roster.get(effect.peer)?.state !== "lost",
  ),
);

/** Follows the wall clock wherever it jumps. */
const followsJumps = altered(({ clock }) => {
  const look = clock.look.bind(clock);
  clock.look = (wallMs, neighbours, nowMs) => {
    if (wallMs !== undefined) look(wallMs, [wallMs - nowMs], nowMs);
    look(undefined, neighbours, nowMs);
  };
});

/** Erases at once what a clock ends that has not proven itself. */
const erasesAtOnce = altered(({ clock }) => {
  clock.hasStood = () => true;
  clock.stoodAt = () => true;
});

/** Finds its clock wrong or right by what the links say. */
function judges(isWrong: (offsets: readonly number[]) => boolean): Plant {
  return altered(({ clock, links }) => {
    const offsets = () =>
      [...links.up()].flatMap(({ clockOffsetMs }) =>
        clockOffsetMs === undefined ? [] : clock.aheadMs(clockOffsetMs),
      );
    Object.defineProperty(clock, "verdict", {
      get: () => (isWrong(offsets()) ? "skewed" : "agrees"),
      set: () => {},
    });
  });
}

/** Goes by the upper median of its peers, without itself. */
const asksPeersAlone = judges((offsets) => {
  const median = offsets.toSorted((a, b) => a - b)[offsets.length >> 1] ?? 0;
  return Math.abs(median) > LIMITS.clockSkewMsMax;
});

/** Changes records of others as they are heard. */
function hearing(change: (record: MemberRecord, replica: Replica) => MemberRecord): Plant {
  return altered((replica) => {
    const { roster } = replica;
    const hear = roster.hear.bind(roster);
    roster.hear = (record, nowMs) => hear(change(record, replica), nowMs);
  });
}

/** Believes in a link that one of its ends reports. */
const believesOneEnd = hearing((record, { roster }) => ({
  ...record,
  links: new Set([
    ...record.links,
    ...[...roster.all()]
      .filter((other) => other.record.links.has(memberHash(record.id)))
      .map((other) => other.record.hash),
  ]),
}));

/** Takes an older record in place of a newer one. */
const takesReplays = hearing((record, { roster }) => {
  const known = roster.get(record.id);
  if (known && record.incarnation < known.record.incarnation) known.record = record;
  return record;
});

/** Takes in everybody who comes. */
const takesAll: Plant = (options) => new Replica({ ...options, linksMax: 1_000 });

/** Lets a link go for each newcomer, however many come. */
const letsGo = bugged((effects, _, replica) => {
  if (!effects.some((effect) => effect.type === "disconnect" && effect.reason === "full")) return effects;
  const link = [...replica.links.up()].find(({ dialled }) => !dialled);
  // Adds its effects to those of the last input.
  if (link) replica.cut(link, "released");
  return effects;
});

/** Dials a member that it has no link with again and again. */
const dialsOn = bugged((effects, input, { roster, links }) => {
  const member =
    input.type === "woke" ? roster.alive().find(({ record }) => !links.with(record.id)) : undefined;
  if (!member) return effects;
  const { addresses, id } = member.record;
  return [...effects, { type: "dial", attempt: 1_000_000, addresses, timeoutMs: 8_000, peer: id }];
});

/** Passes a batch on as soon as it is verified. */
function passesOnEarly(options: ReplicaOptions): Replica {
  const frames = new Map<string, Frame>();
  return bugged((effects, input, { links }) => {
    for (const effect of effects) if (effect.type === "verify") frames.set(effect.frame.id, effect.frame);
    const frame = input.type === "batchVerified" ? frames.get(input.batch) : undefined;
    const sends = [...links.up()].map(
      ({ number }): ReplicaEffect => ({ type: "send", link: number, frame: frame! }),
    );
    return frame ? [...effects, ...sends] : effects;
  })(options);
}

/** Gives nothing to those who ask for a batch. */
const ignoresGrafts = bugged((effects, input) =>
  input.type === "frameReceived" && input.frame.t === "graft"
    ? effects.filter(({ type }) => type !== "send")
    : effects,
);

/** Passes on nothing that came from others, and announces nothing. */
function forwardsNothing(options: ReplicaOptions): Replica {
  const arrived = new Set<string>();
  return bugged((effects) => {
    for (const effect of effects) if (effect.type === "verify") arrived.add(effect.frame.id);
    return effects.filter(
      (effect) =>
        effect.type !== "send" ||
        (effect.frame.t !== "announce" && !(effect.frame.t === "batch" && arrived.has(effect.frame.id))),
    );
  })(options);
}

/** Breaks off a link for a breach that did not happen. */
function blames(reason: DisconnectReason): Plant {
  return bugged((effects, input, replica) => {
    const link = input.type === "linkDown" ? [...replica.links.up()][0] : undefined;
    if (link) replica.cut(link, reason);
    return effects;
  });
}

/** A replica with a bug in its sketch, from the first item on. */
function sketches(bug: (sketch: Sketch) => void): Plant {
  return altered(({ holdings }) => {
    const add = holdings.add.bind(holdings);
    holdings.add = (item) => {
      const before = holdings.sketch;
      const change = add(item);
      if (!before && holdings.sketch) bug(holdings.sketch);
      return change;
    };
  });
}

/** Keeps in its sketch what has left the set. */
const sketchesGone = sketches((sketch) => {
  sketch.remove = () => {};
});

/** Finds one difference less than there are. */
const tellsLess = sketches((sketch) => {
  const copy = sketch.copy.bind(sketch);
  sketch.copy = () => {
    const copied = copy();
    const differences = copied.differences.bind(copied);
    copied.differences = (cells) => {
      const found = differences(cells);
      return found && { ...found, theirs: found.theirs.slice(1), ours: found.ours.slice(1) };
    };
    return copied;
  };
});

const PLANTS: [string, RegExp, Plant, Partial<SimulationOptions>?][] = [
  ["answers before the commit", /rule answeredDurable/, answersEarly],
  ["counts a member that does not hold the item", /rule receiptTrue/, promises],
  ["loses what it acknowledged", /rule (neverLost|answeredDurable)/, forgetful],
  [
    "takes what has expired",
    /rule (notExpired|expires|expiryDurable)/,
    takesAnything,
    { retentionMs: 5_000 },
  ],
  ["shows another item than the smallest", /rule smallestSeen/, showsLatest],
  ["decides a tie of equal timestamps otherwise", /rule (smallestSeen|sameView)/, breaksTies],
  ["gives nothing to those behind", /disagreement: no agreement 60 s after/, keepsForItself],
  ["does not ask again for the rest of a want", /disagreement: no agreement 60 s after/, forgetsRest, TWO],
  ["compares from one step earlier", /rule windowStands/, comparesEarlier],
  ["leaves on the disk what expires", /rule expiryDurable/, keepsExpired, EXPIRING],
  ["wakes for ever at one instant", /rule progresses/, wakesEarly, EXPIRING],
  ["blames an honest peer", /rule nobodyBlamed/, blames("badRange")],
  [
    "never dials lost members again",
    /rule (oneGraph|nobodyLost|rosterTrue|linksBounded)|no agreement/,
    abandons,
    APART,
  ],
  ["believes in a link that one end reports", /rule rosterTrue/, believesOneEnd],
  ["takes replayed records", /rule (recordsNewest|rosterTrue)/, takesReplays],
  ["takes links without bound", /rule linksBounded/, takesAll, CROWD],
  ["lets links go without bound", /rule releasesBounded/, letsGo, CROWD],
  ["dials without bound", /rule dialsBounded/, dialsOn, CROWD],
  ["passes on before the commit", /rule gossipedDurable/, passesOnEarly],
  ["never answers a graft", /rule gossipGoesOn/, ignoresGrafts, MANY],
  ["never asks for what is announced", /rule gossipGoesOn/, dropsFrames("graft", "prune"), MANY],
  ["forwards nothing", /rule gossipBrings/, forwardsNothing, QUIET],
  ["follows a clock that jumps", /rule jumpHidesNothing/, followsJumps, PAIR],
  ["erases what a clock of the start ends", /rule clockErasesNothing/, erasesAtOnce, CLOCKS],
  ["lets one clock that is off silence others", /rule rightClockTakes/, asksPeersAlone, CLOCKS],
  ["keeps in its sketch what has expired", /rule sketched/, sketchesGone, { ...EXPIRING, items: 1_500 }],
  ["decodes sketches wrongly", /rule sketchesTell/, tellsLess, LARGE],
  [
    "takes posts though a majority contradicts its clock",
    /rule wrongClockRefuses/,
    judges(() => false),
    CLOCKS,
  ],
];

describe("the checkers see a replica that", () => {
  it.each<[string, RegExp, Plant, Partial<SimulationOptions>?]>(PLANTS)(
    "%s",
    (_, said, makeReplica, options) => {
      const find = () => {
        for (let seed = 1; seed <= 20; seed++) runWorld({ ...WORLD, ...options, seed }, makeReplica);
      };
      let found: unknown;
      try {
        find();
      } catch (error) {
        found = error;
      }
      expect(String(found)).toMatch(said);
      expect(String(found)).toMatch(/To see it again: hubcast broadcast simulate --nodes \d+ .*--seed \d+$/);
    },
  );

  it.each([
    ["with faults", WORLD],
    ["of two", TWO],
    ["where items expire", EXPIRING],
    ["of many", CROWD],
    ["without faults", QUIET],
    ["with wrong clocks", CLOCKS],
    ["that differ in much", LARGE],
  ])("in worlds %s has none of these", (_, options) => {
    for (let seed = 1; seed <= 2; seed++) runWorld({ ...options, seed });
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
