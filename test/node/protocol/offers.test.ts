import { expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import type { ReplicaOptions } from "../../../src/node/protocol/context.js";
import { packDigests } from "../../../src/node/protocol/frames.js";
import { Replica } from "../../../src/node/protocol/replica.js";

const NOW_MS = 1_700_000_000_000;

test("a peer that offers without end is asked for no more than the node could keep", () => {
  const itemsMax = 2_000;
  const replica = new Replica(options(itemsMax));
  replica.handle({ type: "peerUp", peer: "p", address: "" }, NOW_MS);
  const frame = {
    t: "hello",
    v: 1,
    name: "p",
    version: "0",
    cluster: "c",
    addresses: [],
    starting: false,
  } as const;
  const hello = { ...frame, retentionMs: LIMITS.retentionMs, policy: "", nowMs: NOW_MS };
  replica.handle({ type: "frameReceived", peer: "p", frame: hello }, NOW_MS);
  for (let n = 0; n < 10; n++) {
    const digests = Array.from({ length: 1_024 }, (_, at) => (n * 1_024 + at).toString(16).padStart(64, "0"));
    replica.handle(
      { type: "frameReceived", peer: "p", frame: { t: "have", digests: packDigests(digests) } },
      NOW_MS,
    );
  }
  expect(replica.wants.size).toBe(itemsMax);
});

function options(itemsMax: number): ReplicaOptions {
  return {
    id: "self",
    name: () => "self",
    version: "0",
    cluster: "c",
    retentionMs: LIMITS.retentionMs,
    syncIntervalMs: LIMITS.syncIntervalMs,
    itemsMax,
    itemBytesMax: LIMITS.itemBytesMax,
    policy: { text: "", accepts: () => true },
    addresses: () => [],
    random: () => 0.5,
  };
}
