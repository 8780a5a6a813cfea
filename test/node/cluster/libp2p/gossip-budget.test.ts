import { afterEach, expect, test } from "vitest";
import { LIMITS } from "../../../../src/core/limits.js";
import { GOSSIP_RATE, GossipBudget } from "../../../../src/node/cluster/libp2p/gossip-budget.js";
import { type Libp2pCluster, openLibp2pCluster } from "../../../../src/node/cluster/libp2p/index.js";
import { Punishments } from "../../../../src/node/cluster/libp2p/punishments.js";
import { SCORE_THRESHOLDS } from "../../../../src/node/cluster/libp2p/score.js";
import { Recorder, until } from "../recorder.js";

const MESSAGE_BYTES = 50_000;

test("a peer has its burst, then so much a second, and no more for a quiet hour", () => {
  const budget = new GossipBudget({ bytesPerSecond: 1_000, burstBytes: 10_000, patienceMs: 60_000 });
  expect(budget.take("a", 9_999, 0)).toEqual({ breakMs: 0, presses: false });
  // A byte is left, and a hundredth of a second's worth is owed: that, and a tenth of a second.
  expect(budget.take("a", 11, 0)).toEqual({ breakMs: 110, presses: false });
  expect(budget.take("a", 1, 110)).toEqual({ breakMs: 0, presses: false });
  expect(budget.take("b", 9_999, 0).breakMs).toBe(0);
  expect(budget.take("a", 10_001, 3_600_000).breakMs).toBe(101);
});

test("whoever presses on is named once in every so long, and whoever rests is not", () => {
  const budget = new GossipBudget({ bytesPerSecond: 1_000, burstBytes: 1_000, patienceMs: 1_000 });
  const presses: number[] = [];
  for (let nowMs = 0; nowMs <= 3_500; nowMs += 100)
    if (budget.take("a", 1_000, nowMs).presses) presses.push(nowMs);
  expect(presses).toEqual([1_000, 2_000, 3_000]);
  for (let nowMs = 100_000; nowMs <= 110_000; nowMs += 1_000)
    expect(budget.take("a", 900, nowMs).presses).toBe(false);
});

test("an honest peer is not cut off before it brought more than a node holds", () => {
  const { bytesPerSecond, burstBytes, patienceMs } = GOSSIP_RATE;
  const punishments = new Punishments();
  let pressedMs = 0;
  do {
    pressedMs += patienceMs;
    punishments.add("peer", pressedMs);
  } while (-punishments.points("peer", pressedMs) >= SCORE_THRESHOLDS.graylistThreshold);
  expect(burstBytes + (bytesPerSecond * pressedMs) / 1_000).toBeGreaterThan(LIMITS.itemBytesMax);
  expect(pressedMs).toBe(6 * patienceMs);
});

test("who gossips more than its share is held up, loses nothing, and goes on as soon as it may", async () => {
  const node = await open({ bytesPerSecond: 1_000_000, burstBytes: 500_000, patienceMs: 60_000 });
  const peer = await open();
  dial(peer, node);
  await until("up", () => node.up.size === 1 && peer.up.size === 1);
  for (let n = 0; n < 20; n++) publish(peer, n);
  await until("some of it is there", () => node.gossips.length > 0);
  peer.cluster.send(node.cluster.id, Buffer.from("a frame"));
  await until("frames pass meanwhile", () => node.frames.length === 1);
  expect(node.gossips.length).toBeLessThan(20);
  await until("all of it is there", () => node.gossips.length === 20);
  expect(node.cluster.gossipFigures!.heldUp).toBeGreaterThan(0);
  expect(peer.cluster.gossipFigures).toEqual({ unsent: 0, heldUp: 0 });
  expect((node.cluster as Libp2pCluster).connections()[0]!.score).toBe(0);
});

test("who goes on and on falls in score, is cut off with the reason named, and does not get in again", async () => {
  const node = await open({ bytesPerSecond: 1_000_000, burstBytes: 500_000, patienceMs: 100 });
  const [flooder, friend] = [await open(), await open()];
  dial(flooder, node);
  dial(friend, node);
  await until("up", () => node.up.size === 2 && friend.up.size === 1);
  const scores: number[] = [];
  let n = 0;
  await until("it is cut off", () => {
    if ((flooder.cluster as Libp2pCluster).connections().every(({ queuedBytes }) => queuedBytes < 500_000))
      publish(flooder, n++);
    for (const { id, score } of (node.cluster as Libp2pCluster).connections())
      if (id === flooder.cluster.id) scores.push(score);
    return node.reasons.length > 0;
  });
  expect(node.reasons).toEqual(["it gossips without end"]);
  expect(Math.min(...scores)).toBeLessThan(-20);
  friend.cluster.publish(Buffer.from("a friend's word"));
  await until("the friend is heard", () => node.heard("a friend's word"));
  expect([...node.up]).toEqual([friend.cluster.id]);
});

const opened: Recorder[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map(({ cluster }) => cluster.close()));
});

async function open(gossipRate = GOSSIP_RATE): Promise<Recorder> {
  const listener = new Recorder();
  listener.cluster = await openLibp2pCluster({
    cluster: "test",
    listen: { hosts: ["127.0.0.1"] },
    listener,
    gossipRate,
  });
  opened.push(listener);
  return listener;
}

function dial(from: Recorder, to: Recorder): void {
  from.cluster.dial({ id: to.cluster.id, addresses: to.cluster.addresses });
}

function publish(from: Recorder, n: number): void {
  from.cluster.publish(Buffer.from(`${n}`.padEnd(MESSAGE_BYTES, ".")));
}
