import { LIMITS } from "../../../src/core/limits.js";
import { seededRandom } from "../../../src/core/random.js";
import type { ReplicaOptions } from "../../../src/node/protocol/context.js";
import type { Frame, HelloFrame, ItemsFrame } from "../../../src/node/protocol/frames.js";
import { type Item, withDigest } from "../../../src/node/protocol/item.js";
import type { PostOutcome, ReplicaEffect } from "../../../src/node/protocol/messages.js";
import { PROTOCOL_VERSION } from "../../../src/node/protocol/neighbours.js";
import { Replica } from "../../../src/node/protocol/replica.js";
import { integritySignature } from "../../../src/node/protocol/signature.js";

export const NOW = 1_767_225_600_000;
export const OPEN_POLICY = { text: "", accepts: () => true };

type EffectOf<Type extends ReplicaEffect["type"]> = Extract<ReplicaEffect, { type: Type }>;

/** A replica named "me" with no peers and no items. */
export function makeReplica(options: Partial<ReplicaOptions> = {}): Replica {
  return new Replica({
    id: "me",
    name: () => "me",
    version: "0",
    cluster: "test",
    retentionMs: LIMITS.retentionMs,
    syncIntervalMs: LIMITS.syncIntervalMs,
    itemsMax: LIMITS.itemsMax,
    itemBytesMax: LIMITS.itemBytesMax,
    policy: OPEN_POLICY,
    addresses: () => [],
    random: seededRandom("replica"),
    ...options,
  });
}

/** A valid item. */
export function itemOf(id: string, raw = `raw of ${id}`, timestampMs = NOW): Item {
  return withDigest({ id, raw, signature: integritySignature(raw), timestampMs });
}

export function itemsOf(count: number, prefix = "item", timestampMs = NOW): Item[] {
  return Array.from({ length: count }, (_, index) => itemOf(`${prefix}-${index}`, undefined, timestampMs));
}

/** The effects of one type. */
export function only<Type extends ReplicaEffect["type"]>(
  effects: readonly ReplicaEffect[],
  type: Type,
): EffectOf<Type>[] {
  return effects.filter((effect): effect is EffectOf<Type> => effect.type === type);
}

/** Frames of one type that are sent to a peer. */
export function frames<Type extends Frame["t"]>(
  effects: readonly ReplicaEffect[],
  type: Type,
  peer = "peer",
): Extract<Frame, { t: Type }>[] {
  return only(effects, "send")
    .filter((effect) => effect.peer === peer)
    .map(({ frame }) => frame)
    .filter((frame): frame is Extract<Frame, { t: Type }> => frame.t === type);
}

/** Outcomes of all answers, as `status` or `code`. */
export function outcomes(effects: readonly ReplicaEffect[]): string[] {
  return only(effects, "answer").flatMap((answer) => answer.outcomes.map(wordOf));
}

function wordOf(outcome: PostOutcome): string {
  return outcome.status === "refused" ? outcome.code : outcome.status;
}

/** Drives one replica. Its clock stands still unless a test moves it. */
export class Desk {
  nowMs = NOW;
  #request = 0;
  #message = 0;

  constructor(readonly replica = makeReplica()) {
    this.tell({ type: "woke" });
  }

  tell(input: Parameters<Replica["handle"]>[0]): readonly ReplicaEffect[] {
    return this.replica.handle(input, this.nowMs);
  }

  post(...items: Item[]): readonly ReplicaEffect[] {
    return this.tell({ type: "posted", request: ++this.#request, items });
  }

  gossip(...items: Item[]): readonly ReplicaEffect[] {
    return this.tell({ type: "gossiped", message: ++this.#message, from: "peer", items });
  }

  committed(commit: number): readonly ReplicaEffect[] {
    return this.tell({ type: "committed", commit });
  }

  /** Makes these items held. */
  hold(...items: Item[]): void {
    for (const { commit } of only(this.gossip(...items), "commit")) this.committed(commit);
  }

  /** A peer connects and says hello. @returns what that leads to */
  meet(peer = "peer", hello: Partial<HelloFrame> = {}): readonly ReplicaEffect[] {
    const up = this.tell({ type: "peerUp", peer, address: `at ${peer}` });
    return [...up, ...this.hear({ ...this.hello(peer), ...hello }, peer)];
  }

  hello(name = "peer"): HelloFrame {
    return {
      t: "hello",
      v: PROTOCOL_VERSION,
      name,
      version: "0",
      cluster: "test",
      retentionMs: this.replica.options.retentionMs,
      policy: "",
      nowMs: this.nowMs,
      addresses: [`address of ${name}`],
      starting: false,
    };
  }

  hear(frame: Exclude<Frame, ItemsFrame>, peer = "peer"): readonly ReplicaEffect[] {
    return this.tell({ type: "frameReceived", peer, frame });
  }

  receive(served: number, items: readonly Item[], peer = "peer"): readonly ReplicaEffect[] {
    return this.tell({ type: "itemsReceived", peer, served, items, invalid: 0 });
  }

  /** Lets time pass, waking the replica whenever it wants to be woken. @returns all effects meanwhile */
  pass(lengthMs: number, eachMs: () => void = () => {}): readonly ReplicaEffect[] {
    const endMs = this.nowMs + lengthMs;
    const effects: ReplicaEffect[] = [];
    while (this.replica.wakeAtMs <= endMs) {
      this.nowMs = Math.max(this.nowMs, this.replica.wakeAtMs);
      eachMs();
      effects.push(...this.tell({ type: "woke" }));
    }
    this.nowMs = endMs;
    return effects;
  }
}
