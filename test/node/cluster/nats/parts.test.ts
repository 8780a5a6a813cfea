import type { JetStreamManager } from "@nats-io/jetstream";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Identity } from "../../../../src/node/cluster/identity.js";
import { StreamPosition } from "../../../../src/node/cluster/nats/reader.js";
import { ensureStream, Names } from "../../../../src/node/cluster/nats/stream.js";

describe("a node's id", () => {
  test("is the one that libp2p makes of the same key", async () => {
    const { generateKeyPairFromSeed } = await import("@libp2p/crypto/keys");
    const { peerIdFromPrivateKey } = await import("@libp2p/peer-id");
    for (const fill of [0, 1, 127, 255]) {
      const seed = new Uint8Array(32).fill(fill);
      const key = await generateKeyPairFromSeed("Ed25519", seed);
      expect(new Identity(seed).id).toBe(peerIdFromPrivateKey(key).toString());
    }
    expect(new Identity().id).not.toBe(new Identity().id);
  });
});

describe("names", () => {
  test("of different clusters never match each other's subjects", () => {
    const clusters = ["a", "a-b", "b", "default", "1", "-", "x".repeat(63)];
    const subjects = clusters.flatMap((cluster) => {
      const names = new Names(cluster);
      return [names.itemsOf("id"), names.published("members", "id"), names.to("id", "other")];
    });
    for (const cluster of clusters) {
      const names = new Names(cluster);
      expect([names.stream, names.bucket].join("")).toMatch(/^[\w-]+$/);
      for (const pattern of [names.items, names.published("members", "*"), names.to("id", "*")]) {
        const matches = new RegExp(`^${pattern.replaceAll(".", "\\.").replace("*", "[^.]+")}$`);
        expect(subjects.filter((subject) => matches.test(subject))).toHaveLength(1);
      }
    }
    expect(new Set(clusters.map((cluster) => new Names(cluster).stream)).size).toBe(clusters.length);
  });
});

describe("the position", () => {
  const fresh = (position?: string) => StreamPosition.of("2026-01-01", position);

  test("stands behind the last message up to which all were taken", () => {
    const progress = fresh();
    for (const sequence of [1, 2, 3, 4]) expect(progress.received(sequence, sequence - 1)).toBe(true);
    progress.acknowledged(3);
    progress.taken(1);
    expect(progress.position).toBe("2026-01-01/1");
    expect(progress.open).toBe(3);
    progress.taken(2);
    expect(progress.position).toBe("2026-01-01/3");
    for (const sequence of [1, 2, 4]) progress.acknowledged(sequence);
    expect([progress.position, progress.open]).toEqual(["2026-01-01/4", 0]);
  });

  test("goes on from an earlier run of the same stream, and from the start of another", () => {
    expect(fresh("2026-01-01/17").sequence).toBe(17);
    expect(fresh("2025-12-31/17").sequence).toBe(0);
    for (const garbage of ["", "17", "2026-01-01/", "2026-01-01/x", "2026-01-01/-1"])
      expect(fresh(garbage).sequence).toBe(0);
  });

  test("passes over what has expired, however much", () => {
    const progress = fresh("2026-01-01/5");
    expect(progress.received(2_000_000_000, 5)).toBe(true);
    progress.acknowledged(2_000_000_000);
    expect(progress.sequence).toBe(2_000_000_000);
    expect(progress.received(2_000_000_001, 2_000_000_000)).toBe(true);
    expect(progress.received(2_000_000_005, 2_000_000_001)).toBe(true);
    progress.acknowledged(2_000_000_005);
    expect(progress.sequence).toBe(2_000_000_000);
    progress.acknowledged(2_000_000_001);
    expect(progress.sequence).toBe(2_000_000_005);
  });

  test("a message that comes again is known", () => {
    const progress = fresh();
    expect([progress.received(1, 0), progress.received(2, 1)]).toEqual([true, true]);
    progress.acknowledged(1);
    expect([progress.received(1, 0), progress.received(2, 1)]).toEqual([false, false]);
  });

  test("whatever the order, it is the longest stretch that was taken", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(Array.from({ length: 30 }, (_, n) => n + 1)), (order) => {
        const progress = fresh();
        for (let sequence = 1; sequence <= 30; sequence++) progress.received(sequence, sequence - 1);
        for (const sequence of order) progress.taken(sequence);
        const taken = new Set(order);
        let last = 0;
        while (taken.has(last + 1)) last++;
        expect(progress.sequence).toBe(last);
      }),
    );
  });
});

describe("a stream that is not there", () => {
  const names = new Names("test");
  const settings = { retentionMs: 3_600_000 };

  /** Servers that have the stream again at the second look, or never until it is made. */
  function servers(isBack: boolean) {
    const calls: string[] = [];
    const config = {
      ...{ subjects: [names.items], storage: "file", retention: "limits", discard: "new", num_replicas: 1 },
      ...{ max_age: settings.retentionMs * 1_000_000, max_msg_size: -1, max_msgs_per_subject: -1 },
    };
    const found = { created: "then", config, state: { last_seq: 7, messages: 7 } };
    const streams = {
      info: async () => {
        calls.push("info");
        if (!isBack || calls.length === 1) throw Object.assign(new Error("not found"), { code: 10_059 });
        return found;
      },
      add: async () => {
        calls.push("add");
        return { ...found, did_create: true };
      },
    };
    return { calls, jsm: { streams } as unknown as JetStreamManager };
  }

  test("is made at once where there was none before", async () => {
    const { calls, jsm } = servers(true);
    expect(await ensureStream(jsm, names, settings)).toMatchObject({ isNew: true });
    expect(calls).toEqual(["info", "add"]);
  });

  test("is looked for once more before it is made again", async () => {
    const back = servers(true);
    expect(await ensureStream(back.jsm, names, settings, 1)).toMatchObject({ isNew: false, lastSequence: 7 });
    expect(back.calls).toEqual(["info", "info"]);
    const gone = servers(false);
    expect(await ensureStream(gone.jsm, names, settings, 1)).toMatchObject({ isNew: true });
    expect(gone.calls).toEqual(["info", "info", "add"]);
  });
});
