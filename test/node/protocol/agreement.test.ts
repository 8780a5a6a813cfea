import { expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { startOf } from "../../../src/node/protocol/holdings.js";
import { BREACHES } from "../../../src/node/protocol/messages.js";
import { Dice } from "../../../src/sim/dice.js";
import { Lan } from "./lan.js";
import { itemOf } from "./replica-kit.js";

const SEEDS = 2_000;
const REPLICAS_MAX = 7;
const RETENTION_MS = 8_000;
const STEPS_MAX = 40;
/** Virtual time within which connected replicas must agree. */
const AGREEMENT_MS_MAX = 2 * LIMITS.syncIntervalMs;

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
    () => lan.repeatGossip(dice.whole(0, 100)),
    () => dice.chance(0.2) && lan.loseGossip(),
  ];
  for (let step = dice.whole(5, STEPS_MAX); step > 0; step--) {
    dice.pick(actions)!();
    for (let arrivals = dice.whole(0, 8); arrivals > 0; arrivals--) dice.pick(lan.pending())?.();
  }
  // In the end all are connected, each to one before it at least.
  for (let index = 1; index < lan.replicas.length; index++) lan.connect(index, dice.whole(0, index - 1));
  return lan;
}

/** What each replica holds and shows, as text; what no clock has expired yet, and nobody hides behind what has. */
function states(lan: Lan): string[] {
  const since = startOf(lan.nowMs - RETENTION_MS + 1);
  return lan.replicas.map(({ holdings }) =>
    JSON.stringify([
      [...holdings.set.range(since)].map(({ digest }) => digest),
      holdings.fingerprint(since.timestampMs),
      [...holdings.visible(since)].map(({ digest }) => digest),
    ]),
  );
}

function agree(lan: Lan): boolean {
  const sinceMs = lan.nowMs - RETENTION_MS + 1;
  return new Set(lan.replicas.map(({ holdings }) => holdings.fingerprint(sinceMs).fingerprint)).size === 1;
}

it(`replicas that end connected hold and show the same, whatever came before: ${SEEDS} histories`, () => {
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
    for (const item of lan.accepted)
      if (item.timestampMs + RETENTION_MS > lan.nowMs)
        expect(holdings.has(item.digest), `${item.digest}, acknowledged in history ${seed}`).toBe(true);
  }
}, 120_000);
