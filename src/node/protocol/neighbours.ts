import { LIMITS } from "../../core/limits.js";
import type { ReplicaContext } from "./context.js";
import type { Frame, HelloFrame, PeerAddresses, SummaryFrame } from "./frames.js";
import { fingerprintSince } from "./holdings.js";
import type { DisconnectReason } from "./messages.js";
import type { PeerRecord } from "./peer-table.js";

/** Version of the frames; peers of another one are not talked to. */
export const PROTOCOL_VERSION = 1;

/** Greets peers, keeps signs of life going, and tells them what this node holds (protocol.md#neighbours). */
export class Neighbours {
  #summary: SummaryFrame | undefined;
  #summaryAtMs = 0;

  constructor(private readonly context: ReplicaContext) {}

  /** The first words to a peer. */
  greet(peer: PeerRecord, nowMs: number): void {
    const { options, starting } = this.context;
    peer.greetedStarting = starting;
    const hello: HelloFrame = {
      t: "hello",
      v: PROTOCOL_VERSION,
      name: options.name(),
      version: options.version,
      cluster: options.cluster,
      retentionMs: options.retentionMs,
      policy: options.policy.text,
      nowMs,
      addresses: options.addresses().slice(0, 32),
      starting,
    };
    this.#send(peer.id, hello);
    this.tellSummaryTo(peer, nowMs);
  }

  /** Takes a peer's first words. @returns why it is no peer for this node, if it is none */
  greeted(peer: PeerRecord, hello: HelloFrame, nowMs: number): DisconnectReason | undefined {
    const { options } = this.context;
    if (hello.v !== PROTOCOL_VERSION) return "versionDiffers";
    if (hello.cluster !== options.cluster) return "clusterDiffers";
    if (hello.retentionMs !== options.retentionMs) return "retentionDiffers";
    peer.hello = hello;
    peer.clockOffsetMs = hello.nowMs - nowMs;
    this.#send(peer.id, { t: "ping", atMs: nowMs });
    const others = this.context.peers
      .greeted()
      .filter(({ id, hello }) => id !== peer.id && hello!.addresses.length > 0);
    if (others.length > 0)
      this.#send(peer.id, { t: "peers", peers: others.slice(0, LIMITS.peersMax).map(addressesOf) });
    return undefined;
  }

  /** Takes the addresses of peers of a peer: those not connected here may be dialled. */
  introduced(peers: readonly PeerAddresses[]): void {
    for (const { id, addresses } of peers) {
      if (id === this.context.options.id || this.context.peers.get(id)?.state === "connected") continue;
      this.context.emit({ type: "dial", peer: id, addresses });
    }
  }

  /** Says the same to every peer. */
  tellAll(frame: Frame): void {
    for (const { id } of this.context.peers.greeted()) this.#send(id, frame);
  }

  /** Says goodbye, also to those whose hello is still on its way: they have ours. */
  leave(): void {
    for (const { id, state } of this.context.peers.all()) {
      if (state === "connected") this.#send(id, { t: "bye" });
    }
  }

  ponged(peer: PeerRecord, atMs: number, theirNowMs: number, nowMs: number): void {
    // A pong to no ping of ours says nothing.
    if (atMs > nowMs || nowMs - atMs > LIMITS.answerTimeoutMs) return;
    peer.roundTripMs = nowMs - atMs;
    peer.clockOffsetMs = theirNowMs - (atMs + nowMs) / 2;
  }

  /** Asks silent peers for a sign of life. @returns those that gave none for too long */
  checkPulse(nowMs: number): PeerRecord[] {
    const { ask, lost } = this.context.peers.checkPulse(nowMs);
    for (const { id } of ask) this.#send(id, { t: "ping", atMs: nowMs });
    return lost;
  }

  /** Tells all peers what this node holds: soon after a change, seldom without one. */
  tellSummary(nowMs: number): void {
    this.#summaryAtMs = Math.min(this.#summaryAtMs, nowMs);
    if (nowMs - this.#summaryAtMs < LIMITS.summaryMs) return;
    const before = this.#summary;
    const summary = this.#summarise(nowMs);
    const changed =
      summary.fingerprint !== before?.fingerprint || summary.settledFingerprint !== before.settledFingerprint;
    if (!changed && nowMs - this.#summaryAtMs < LIMITS.summaryIdleMs) return;
    this.#summary = summary;
    this.#summaryAtMs = nowMs;
    this.tellAll(summary);
  }

  tellSummaryTo(peer: PeerRecord, nowMs: number): void {
    this.#send(peer.id, this.#summarise(nowMs));
  }

  /** Takes what a peer says of its set. */
  summarised(peer: PeerRecord, summary: SummaryFrame, nowMs: number): void {
    peer.summary = summary;
    peer.summaryAtMs = nowMs;
    if (this.agreesSettled(summary)) delete peer.differsSinceMs;
    else if (peer.differsSinceMs === undefined) {
      peer.differsSinceMs = nowMs;
      // The peer knows what this node said before that, and between two policies no round will tell it more.
      if (!this.sharesPolicy(peer)) this.tellSummaryTo(peer, nowMs);
    }
  }

  /** Whether a peer accepts the same items as this node. */
  sharesPolicy(peer: PeerRecord): boolean {
    return peer.hello!.policy === this.context.options.policy.text;
  }

  /** Whether a peer's summary says that its settled items are the same as ours. */
  agreesSettled(summary: SummaryFrame): boolean {
    const { holdings } = this.context;
    const ours = holdings.fingerprint(summary.sinceMs, Math.max(summary.sinceMs, summary.settledMs));
    return ours.fingerprint === summary.settledFingerprint;
  }

  #summarise(nowMs: number): SummaryFrame {
    const { holdings, options } = this.context;
    const sinceMs = fingerprintSince(nowMs, options.retentionMs);
    const settledMs = Math.max(sinceMs, nowMs - LIMITS.settleMs);
    const whole = holdings.fingerprint(sinceMs);
    const settled = holdings.fingerprint(sinceMs, settledMs);
    return {
      t: "summary",
      count: whole.count,
      fingerprint: whole.fingerprint,
      sinceMs,
      settledMs,
      settledFingerprint: settled.fingerprint,
    };
  }

  #send(peer: string, frame: Frame): void {
    this.context.emit({ type: "send", peer, frame });
  }
}

function addressesOf(peer: PeerRecord): PeerAddresses {
  return { id: peer.id, addresses: peer.hello!.addresses };
}
