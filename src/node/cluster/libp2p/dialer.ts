import { LIMITS } from "../../../core/limits.js";
import type { PeerCandidate } from "../port.js";
import { type PeerAddress, parsePeerAddress } from "./address.js";

export interface ReachOptions {
  /** Another peer at an address counts as no answer. */
  readonly expectedId: string | undefined;
  /** How long one that answers is left to connect to us first, before the handshake. */
  readonly courtesyMs: number;
  readonly signal: AbortSignal;
}

/** What a dialer needs from the engine around it. */
export interface DialerHost {
  readonly selfId: string;
  /**
   * Connects to the first of the addresses that answers. @returns the peer's id
   * @throws SelfDialled when an address turns out to be this node's own; anything else when none can be reached
   */
  reach(addresses: readonly PeerAddress[], options: ReachOptions): Promise<string>;
  /** Whether a connection with it serves, or is about to. Each ends with a call of `lost`. */
  isConnected(peerId: string): boolean;
  /** Whether one more peer may be connected. */
  hasRoom(): boolean;
}

/** Someone to be connected to. */
interface Known {
  readonly id: string | undefined;
  /** By their text, the one told last at the end. */
  readonly addresses: Map<string, PeerAddress>;
  /** Who answered there last, where the id was not known. */
  leadsTo: string | undefined;
  failures: number;
  attemptedAtMs: number;
  upAtMs: number;
  timer: NodeJS.Timeout | undefined;
  attempt: AbortController | undefined;
}

/** First redial after that long, doubled each time: a restart takes about as long. */
const BACKOFF_MS = 200;
/** Longest wait: a SYN every 3 s costs nothing on a local network, and a healed partition must close within 10 s. */
const BACKOFF_MS_MAX = 3_000;
/** A connection that lasted so long was a good one: the next loss starts at BACKOFF_MS again. */
const STEADY_MS = 10_000;
/** Two nodes that discover each other at the same time: the one with the larger id lets the other go first. */
const COURTESY_MS = 100;
/** ... and longer when they had lost each other: both try again at times of their own, and neither is in a hurry. */
const REDIAL_COURTESY_MS = 800;
/** Being told of a peer again brings its next attempt forward, but not below this distance. */
const RETOLD_MS_MIN = 1_000;
/** Connecting, courtesy and handshake. */
const ATTEMPT_MS_MAX = 8_000;
const ATTEMPTS_AT_ONCE_MAX = 32;

/** Remembers where peers may be found and keeps trying until they are connected, with jittered back-off. */
export class Dialer {
  readonly #host: DialerHost;
  /** By id, or by addresses where there is none; the one told last at the end. */
  readonly #known = new Map<string, Known>();
  readonly #queue: Known[] = [];
  #attempts = 0;
  #closed = false;

  constructor(host: DialerHost) {
    this.#host = host;
  }

  /** Addresses that cannot be read are left out: they came from the network. */
  dial(candidate: PeerCandidate): void {
    const addresses = candidate.addresses.map(readAddress).filter((address) => address !== undefined);
    const id = candidate.id ?? addresses.find((address) => address.id !== undefined)?.id;
    if (this.#closed || addresses.length === 0 || id === this.#host.selfId) return;
    const key = id ?? candidate.addresses.toSorted().join(" ");
    const known = this.#known.get(key) ?? newKnown(id);
    const isNew = this.#merge(known, addresses);
    this.#known.delete(key);
    this.#known.set(key, known);
    if (this.#known.size > LIMITS.knownPeersMax) this.#forgetOldest();
    const nowMs = Date.now();
    if (known.attempt || (!isNew && nowMs - known.attemptedAtMs < RETOLD_MS_MIN)) return;
    if (isNew) known.failures = 0;
    this.#schedule(known, 0);
  }

  forget(peerId: string): void {
    for (const [key, known] of this.#leadingTo(peerId)) this.#drop(key, known);
  }

  up(peerId: string): void {
    for (const [, known] of this.#leadingTo(peerId)) known.upAtMs = Date.now();
  }

  /** It was faster: its connection serves, and a handshake costs both sides milliseconds of CPU. */
  accepted(peerId: string): void {
    if (!this.#host.isConnected(peerId)) return;
    for (const [, known] of this.#leadingTo(peerId)) {
      clearTimeout(known.timer);
      known.attempt?.abort(new Error("the peer has connected"));
    }
  }

  /** A connection to that peer ended, whether it had come up or not. */
  lost(peerId: string): void {
    if (this.#host.isConnected(peerId)) return;
    for (const [, known] of this.#leadingTo(peerId)) {
      if (Date.now() - known.upAtMs >= STEADY_MS) known.failures = 0;
      if (!known.attempt) this.#schedule(known, backoffMs(known.failures));
    }
  }

  close(): void {
    this.#closed = true;
    for (const [key, known] of this.#known) this.#drop(key, known);
  }

  #merge(known: Known, addresses: readonly PeerAddress[]): boolean {
    let isNew = false;
    for (const address of addresses) {
      const text = `${address.host} ${address.port}`;
      isNew ||= !known.addresses.has(text);
      known.addresses.delete(text);
      known.addresses.set(text, address);
      if (known.addresses.size > LIMITS.peerAddressesMax) {
        known.addresses.delete(known.addresses.keys().next().value!);
      }
    }
    return isNew;
  }

  /** Makes room, if possible at the cost of one that is not connected. */
  #forgetOldest(): void {
    const all = [...this.#known];
    const [key, known] =
      all.find(([, { id, leadsTo }]) => !this.#host.isConnected(id ?? leadsTo ?? "")) ?? all[0]!;
    this.#drop(key, known);
  }

  #drop(key: string, known: Known): void {
    this.#known.delete(key);
    known.addresses.clear();
    known.attempt?.abort(new Error("forgotten"));
    clearTimeout(known.timer);
  }

  #leadingTo(peerId: string): [string, Known][] {
    return [...this.#known].filter(([, { id, leadsTo }]) => (id ?? leadsTo) === peerId);
  }

  #schedule(known: Known, delayMs: number): void {
    clearTimeout(known.timer);
    known.timer = setTimeout(() => {
      this.#queue.push(known);
      this.#next();
    }, delayMs);
  }

  #next(): void {
    while (this.#attempts < ATTEMPTS_AT_ONCE_MAX) {
      const known = this.#queue.shift();
      if (!known) return;
      if (this.#closed || known.attempt || known.addresses.size === 0) continue;
      if (this.#host.isConnected(known.id ?? known.leadsTo ?? "")) continue;
      if (!this.#host.hasRoom()) {
        this.#schedule(known, backoffMs(++known.failures));
        continue;
      }
      this.#attempts++;
      this.#try(known).finally(() => {
        this.#attempts--;
        this.#next();
      });
    }
  }

  async #try(known: Known): Promise<void> {
    known.attempt = new AbortController();
    const courtesyMs = this.#courtesyMs(known);
    known.attemptedAtMs = Date.now();
    const signal = AbortSignal.any([known.attempt.signal, AbortSignal.timeout(ATTEMPT_MS_MAX)]);
    try {
      const options = { expectedId: known.id, courtesyMs, signal };
      known.leadsTo = await this.#host.reach([...known.addresses.values()], options);
    } catch (error) {
      if (error instanceof SelfDialled) this.#forgetSelf(known, error.address);
    }
    known.attempt = undefined;
    known.failures++;
    if (known.addresses.size === 0 || this.#closed || this.#host.isConnected(known.id ?? known.leadsTo ?? ""))
      return;
    this.#schedule(known, backoffMs(known.failures));
  }

  #courtesyMs({ id, leadsTo, attemptedAtMs }: Known): number {
    const peerId = id ?? leadsTo;
    if (peerId === undefined || this.#host.selfId < peerId) return 0;
    return attemptedAtMs === 0 ? COURTESY_MS : REDIAL_COURTESY_MS;
  }

  #forgetSelf(known: Known, address: PeerAddress): void {
    known.addresses.delete(`${address.host} ${address.port}`);
    if (known.addresses.size > 0) return;
    for (const [key, other] of this.#known) if (other === known) this.#drop(key, known);
  }
}

/** An address led to this very node. */
export class SelfDialled extends Error {
  constructor(readonly address: PeerAddress) {
    super("the address is this node's own");
  }
}

/** Half of it is jitter, so that nodes that lost each other at once do not meet at once again and again. */
function backoffMs(failures: number): number {
  const fullMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** Math.max(0, failures - 1));
  return fullMs * (0.5 + Math.random() / 2);
}

function readAddress(text: string): PeerAddress | undefined {
  try {
    return parsePeerAddress(text);
  } catch {
    return undefined;
  }
}

function newKnown(id: string | undefined): Known {
  return {
    id,
    addresses: new Map(),
    leadsTo: undefined,
    failures: 0,
    attemptedAtMs: 0,
    upAtMs: 0,
    timer: undefined,
    attempt: undefined,
  };
}
