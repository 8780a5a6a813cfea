import { expect, it } from "vitest";
import { fingerprintSince, startOf } from "../../../src/node/replica/holdings.js";
import { type Bound, START } from "../../../src/node/replica/item-set/bound.js";
import { BREACHES } from "../../../src/node/replica/messages.js";
import { Dice } from "../../../src/sim/determinism.js";
import { Lan } from "./lan.js";
import { itemOf } from "./replica-kit.js";

const SEEDS = 500;
const REPLICAS_MAX = 7;
const RETENTION_MS = 150_000;
const STEPS_MAX = 40;
/** Virtual time within which connected replicas must agree: a summary and a round for each step of a chain of seven. */
const AGREEMENT_MS_MAX = 10_000;

/** One history: posts, arrivals in any order, repeats, losses, connections that come and go, time that passes. */
function live(seed: number): Lan {
  const dice = new Dice(`agreement ${seed}`);
  const lan = new Lan(dice.whole(2, REPLICAS_MAX), {
    retentionMs: RETENTION_MS,
    random: dice.named("replicas").random,
  });
  const any = () => dice.whole(0, lan.replicas.length - 1);
  const actions: (() => void)[] = [
    () =>
      lan.post(
        any(),
        itemOf(`${dice.whole(0, 12)}`, `raw ${dice.whole(0, 2)}`, lan.nowMs - dice.whole(0, 3)),
      ),
    () => lan.connect(any(), any()),
    () => lan.disconnect(any(), any()),
    () => lan.pass(dice.pick([1, 400, 2_500])!),
    () => dice.chance(0.3) && lan.sleep(dice.whole(1_000, 60_000)),
    () => lan.loseGossip(dice.chance(0.2)),
  ];
  for (let step = dice.whole(5, STEPS_MAX); step > 0; step--) {
    dice.pick(actions)!();
    for (let arrivals = dice.whole(0, 8); arrivals > 0; arrivals--) dice.pick(lan.pending())?.();
  }
  lan.loseGossip(false);
  // In the end all are connected, each to one before it at least.
  for (let index = 1; index < lan.replicas.length; index++) lan.connect(index, dice.whole(0, index - 1));
  return lan;
}

/** The held and the visible items of each replica from the start of the fingerprint's window on, as text. */
function states(lan: Lan): string[] {
  const since = windowOf(lan);
  // Behind an item that is about to expire, which some have already forgotten, others may be hidden or not.
  const fading = new Set(
    lan.replicas.flatMap(({ holdings }) => [...holdings.set.range(START, since)].map(({ id }) => id)),
  );
  return lan.replicas.map(({ holdings }) =>
    JSON.stringify([
      [...holdings.set.range(since)].map(({ digest }) => digest),
      holdings.fingerprint(since.timestampMs),
      [...holdings.visible(since)].filter(({ id }) => !fading.has(id)).map(({ digest }) => digest),
    ]),
  );
}

function agree(lan: Lan): boolean {
  const { timestampMs } = windowOf(lan);
  return (
    new Set(lan.replicas.map(({ holdings }) => holdings.fingerprint(timestampMs).fingerprint)).size === 1
  );
}

function windowOf(lan: Lan): Bound {
  return startOf(fingerprintSince(lan.nowMs, RETENTION_MS));
}

it(`replicas that end connected hold and show the same, whatever came before: ${SEEDS} histories`, () => {
  let itemsLeft = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const lan = live(seed);
    lan.settle();
    const endMs = lan.nowMs + AGREEMENT_MS_MAX;
    while (!agree(lan) && lan.nowMs < endMs) lan.live(500);
    expect(new Set(states(lan)).size, `states after history ${seed}`).toBe(1);
    expect(
      lan.disconnects.filter((reason) => BREACHES.has(reason)),
      `blame in history ${seed}`,
    ).toEqual([]);
    const { holdings } = lan.replicas[0]!;
    itemsLeft += holdings.size;
    for (const item of lan.accepted)
      if (item.timestampMs >= windowOf(lan).timestampMs)
        expect(holdings.has(item.digest), `${item.digest}, acknowledged in history ${seed}`).toBe(true);
  }
  expect(itemsLeft, "nothing agrees with nothing").toBeGreaterThan(2 * SEEDS);
}, 120_000);
