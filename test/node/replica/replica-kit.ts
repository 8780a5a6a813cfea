import { hash } from "node:crypto";
import { LIMITS } from "../../../src/core/limits.js";
import type { ReplicaOptions } from "../../../src/node/replica/context.js";
import { encodeBatch, type Item, withDigest } from "../../../src/node/replica/item.js";
import {
  encodeRecord,
  type MemberRecord,
  memberHash,
  type RecordFields,
  type Sign,
} from "../../../src/node/replica/member.js";
import type {
  DisconnectReason,
  PostOutcome,
  ReplicaEffect,
  ReplicaInput,
} from "../../../src/node/replica/messages.js";
import { Replica } from "../../../src/node/replica/replica.js";
import { integritySignature } from "../../../src/node/replica/signature.js";
import {
  batchFrame,
  encodeFrame,
  type Frame,
  type HelloFrame,
  PROTOCOL_VERSION,
} from "../../../src/node/replica/wire.js";
import { seededRandom } from "../../../src/sim/determinism.js";

export const NOW = 1_767_225_600_000;
const OPEN_POLICY = { text: "", refusalOf: () => undefined };

type EffectOf<Type extends ReplicaEffect["type"]> = Extract<ReplicaEffect, { type: Type }>;

/** Stands in for the signature of a member in tests of the machine, which never looks at it. */
const sign: Sign = (bytes) => hash("sha512", bytes, "buffer");

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
    sign,
    hasBroker: false,
    hasReadLog: () => true,
    linksWanted: LIMITS.linksWanted,
    linksMax: LIMITS.linksMax,
    rosterMembersMax: LIMITS.rosterMembersMax,
    random: seededRandom("replica"),
    ...options,
  });
}

/** The record of a member. Its session is one of its id unless given. */
export function recordOf(id: string, fields: Partial<RecordFields> = {}) {
  const fingerprint = "0".repeat(32);
  return encodeRecord(
    {
      id,
      session: memberHash(`session of ${id}`),
      incarnation: NOW,
      name: id,
      version: "0",
      retentionMs: LIMITS.retentionMs,
      policy: "",
      addresses: [addressOf(id)],
      links: new Set<string>(),
      holdings: { count: 0, fingerprint, sinceMs: 0, settledMs: 0, settledFingerprint: fingerprint },
      left: false,
      ...fields,
    },
    "test",
    sign,
  );
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
    .filter((effect) => effect.link === linkOf(peer))
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

/** Why links are cut, in order. */
export function reasons(effects: readonly ReplicaEffect[]): DisconnectReason[] {
  return only(effects, "disconnect").map(({ reason }) => reason);
}

/** The number of the link with a peer, unless a test gives another. */
export function linkOf(peer: string): number {
  return Number.parseInt(memberHash(peer).slice(0, 8), 16);
}

/** Where a member can be dialled, unless a test says otherwise. */
export function addressOf(peer: string): string {
  return `/ip4/10.0.0.1/tcp/${1_000 + (linkOf(peer) % 64_000)}`;
}

/** Drives one replica. Its clock stands still unless a test moves it. */
export class Driver {
  nowMs = NOW;
  #request = 0;
  #nonce = 0;

  constructor(readonly replica = makeReplica()) {
    this.tell({ type: "started" });
  }

  tell(input: ReplicaInput): readonly ReplicaEffect[] {
    return this.replica.handle(input, this.nowMs);
  }

  post(...items: Item[]): readonly ReplicaEffect[] {
    return this.tell({ type: "posted", request: ++this.#request, items });
  }

  /** A peer gossips a batch of items, which are verified when it is the first copy. */
  gossip(items: readonly Item[], peer = "peer"): readonly ReplicaEffect[] {
    const frame = batchFrame("items", encodeBatch(items));
    const arrived = this.hear(frame, peer);
    if (only(arrived, "verify").length === 0) return arrived;
    const content = { kind: "items", items } as const;
    return [...arrived, ...this.tell({ type: "batchVerified", batch: frame.id, content })];
  }

  committed(commit: number): readonly ReplicaEffect[] {
    return this.tell({ type: "committed", commit });
  }

  /** Makes these items held, as if read from a log. */
  hold(...items: Item[]): void {
    const effects = this.tell({ type: "logged", message: ++this.#nonce, items });
    for (const { commit } of only(effects, "commit")) this.committed(commit);
  }

  /** This node has dialled a peer, which says hello. @returns what that leads to */
  meet(
    peer = "peer",
    hello: Partial<HelloFrame> = {},
    record: Partial<RecordFields> = {},
  ): readonly ReplicaEffect[] {
    return [...this.connect(peer, { attempt: 0 }), ...this.greet(peer, hello, record)];
  }

  /** A peer has dialled this node, and says hello. @returns what that leads to */
  accept(
    peer = "peer",
    hello: Partial<HelloFrame> = {},
    record: Partial<RecordFields> = {},
  ): readonly ReplicaEffect[] {
    return [...this.connect(peer), ...this.greet(peer, hello, record)];
  }

  /** A connection is there. `attempt`: this node dialled. */
  connect(peer: string, more: { attempt?: number; address?: string } = {}): readonly ReplicaEffect[] {
    const link = linkOf(peer);
    return this.tell({ ...{ type: "linkUp", link, peer, address: addressOf(peer) }, ...more });
  }

  /** A peer says hello on its link. */
  greet(
    peer = "peer",
    hello: Partial<HelloFrame> = {},
    fields: Partial<RecordFields> = {},
  ): readonly ReplicaEffect[] {
    const { retentionMs } = this.replica.options;
    const record = recordOf(peer, { retentionMs, incarnation: this.nowMs, ...fields });
    const frame: HelloFrame = {
      t: "hello",
      v: PROTOCOL_VERSION,
      cluster: "test",
      record: record.bytes,
      nowMs: this.nowMs,
      starting: false,
      links: 1,
      linked: false,
      roster: "0".repeat(16),
      ...hello,
    };
    return this.tell({ type: "helloReceived", link: linkOf(peer), frame, record });
  }

  hear(
    frame: Extract<ReplicaInput, { type: "frameReceived" }>["frame"],
    peer = "peer",
  ): readonly ReplicaEffect[] {
    return this.tell({
      ...{ type: "frameReceived", link: linkOf(peer), frame, bytes: encodeFrame(frame).length },
    });
  }

  /** A peer sends records, which are verified. @param want hashes of those that it lacks itself */
  records(
    records: readonly MemberRecord[],
    peer = "peer",
    want: Uint8Array = new Uint8Array(),
    lost: Uint8Array = new Uint8Array(),
  ): readonly ReplicaEffect[] {
    return this.tell({ type: "recordsReceived", link: linkOf(peer), bytes: 1, records, lost, want });
  }

  /** A peer gives a sign of life, and knows the same members. */
  ping(peer = "peer"): readonly ReplicaEffect[] {
    return this.hear({ t: "ping", atMs: this.nowMs, roster: this.replica.membership.fingerprint }, peer);
  }

  receive(served: number, items: readonly Item[], peer = "peer", invalid = 0): readonly ReplicaEffect[] {
    return this.tell({ type: "itemsReceived", link: linkOf(peer), served, items, invalid, bytes: 100 });
  }

  /** The link with a peer is gone. */
  lose(peer = "peer", reason = "connection lost"): readonly ReplicaEffect[] {
    return this.tell({ type: "linkDown", link: linkOf(peer), reason });
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
