import type { Machine, Random } from "../core/machine.js";
import { DNSSD } from "./limits.js";
import type { DnsPacket } from "./packet.js";
import {
  type LinkUp,
  Presence,
  type SendEffect,
  type Sender,
  type ServiceIdentity,
  type ServiceRecords,
} from "./presence.js";
import {
  compareRecordSets,
  type DnsRecord,
  decodeTxt,
  fold,
  identityLabel,
  instanceLabel,
  labelOf,
  type SrvRecord,
  sameName,
  sameRecord,
  type TxtRecord,
} from "./records.js";

export type ResponderInput =
  | ({ readonly type: "linkUp" } & LinkUp)
  | { readonly type: "linkDown"; readonly link: string }
  | { readonly type: "packet"; readonly link: string; readonly packet: DnsPacket; readonly from: Sender }
  | { readonly type: "woke" }
  | { readonly type: "closed" };

export type ResponderEffect =
  | SendEffect
  /** The name is ours on all interfaces, for the first time or after a conflict took the one before. */
  | { readonly type: "announced"; readonly name: string };

interface ResponderOptions {
  /** The wished name; `announced` tells which one it became. */
  readonly name: string;
  readonly random: Random;
  /** Whether a label is known to be in use; only asked about names after the first. */
  readonly isTaken: (label: string) => boolean;
}

/**
 * Advertises one service on all interfaces: probes its name, announces it, answers for it, gives it up for
 * `name (2)` when another identity has it, and says goodbye. The name is the same on all interfaces. Where every name is
 * disputed, it takes one that holds its identity.
 * @see RFC 6762, sections 6 to 10
 */
export class Responder implements Machine<ResponderInput, ResponderEffect> {
  #label: string;
  #attempt = 1;
  #announced: string | undefined;
  readonly #links = new Map<string, Presence>();
  /** Labels that others were heard to probe, folded. */
  readonly #claimed = new Set<string>();
  /** When the next label is chosen after a conflict; Infinity when none is to be. */
  #chooseAtMs = Number.POSITIVE_INFINITY;
  #conflictsAtMs: number[] = [];
  /** The label holds the identity: it is neither probed nor given up. */
  #isUnique = false;

  constructor(
    private readonly service: ServiceIdentity,
    private readonly options: ResponderOptions,
  ) {
    this.#label = instanceLabel(options.name, 1);
  }

  /** The name as it is tried or held now. */
  get label(): string {
    return this.#label;
  }

  get wakeAtMs(): number {
    let wakeAtMs = this.#chooseAtMs;
    for (const presence of this.#links.values()) wakeAtMs = Math.min(wakeAtMs, presence.wakeAtMs);
    return wakeAtMs;
  }

  handle(input: ResponderInput, nowMs: number): readonly ResponderEffect[] {
    switch (input.type) {
      case "linkUp": {
        const startAtMs = nowMs + Math.round(this.options.random() * DNSSD.probeDelayMsMax);
        const presence = new Presence(this.service, input, this.options.random, this.#label, startAtMs);
        if (this.#isUnique) presence.announceFrom(startAtMs, this.#label);
        this.#links.set(input.link, presence);
        return [];
      }
      case "linkDown":
        this.#links.delete(input.link);
        return this.#announce();
      case "packet": {
        const presence = this.#links.get(input.link);
        return presence ? this.#onPacket(presence, input.packet, input.from, nowMs) : [];
      }
      case "woke": {
        if (nowMs >= this.#chooseAtMs) this.#choose(nowMs);
        const sends = [...this.#links.values()].flatMap((presence) => presence.wake(nowMs));
        return [...sends, ...this.#announce()];
      }
      case "closed": {
        const goodbyes = [...this.#links.values()].flatMap((presence) => presence.goodbye());
        this.#links.clear();
        return goodbyes;
      }
    }
  }

  #onPacket(presence: Presence, packet: DnsPacket, from: Sender, nowMs: number): readonly ResponderEffect[] {
    const { records, isProbing } = presence;
    if (packet.kind === "query") {
      this.#noteClaims(packet);
      const rival = isProbing && hasRival(packet.authorities, records, this.service.id);
      if (rival && losesAgainst(packet.authorities, records) && presence.defer(nowMs)) {
        if (this.#isDisputed(nowMs)) return this.#takeUniqueName(nowMs);
      }
      return presence.answer(packet, from, nowMs);
    }
    // 6: answers come from the port of multicast DNS, all else is forged. Before the first probe, the name
    // has not been asked for yet: its owner will answer the probe.
    if (from.port !== DNSSD.port || presence.isWaiting) return [];
    const heard = [...packet.answers, ...packet.additionals];
    if (this.#isUnique || !hasRival(heard, records, this.service.id)) {
      const isOurs = (record: DnsRecord) =>
        [...this.#links.values()].some(({ records: { all } }) => all.some((own) => sameRecord(own, record)));
      return presence.defend(heard, isOurs, nowMs);
    }
    if (this.#isDisputed(nowMs)) return this.#takeUniqueName(nowMs);
    if (isProbing) return this.#rename(presence.isDeferred, nowMs);
    // 9: a name that was ours is probed again, and given up only if its rival defends it.
    presence.probeFrom(nowMs, this.#label);
    return [];
  }

  #noteClaims(packet: DnsPacket): void {
    for (const record of packet.authorities) {
      const label = record.type === "SRV" ? labelOf(record.name, this.service.type) : undefined;
      if (label !== undefined && this.#claimed.size < DNSSD.claimsMax) this.#claimed.add(fold(label));
    }
  }

  /**
   * Gives the name up everywhere. Of many nodes that lost one name at once, each chooses the next after a random
   * while and by then has heard which numbers the others try; so they do not all meet again under `name (2)`.
   */
  #rename(isCrowd: boolean, nowMs: number): readonly ResponderEffect[] {
    const presences = [...this.#links.values()];
    const goodbyes = presences.flatMap((presence) => presence.goodbye());
    for (const presence of presences) presence.probeFrom(Number.POSITIVE_INFINITY, this.#label);
    const waitMs = isCrowd ? this.options.random() * DNSSD.crowdWaitMsMax : 0;
    this.#chooseAtMs = nowMs + Math.round(waitMs);
    return goodbyes;
  }

  /** 8.1: a name that cannot be in use by others needs no probing, so there is nothing that a rival could disturb. */
  #takeUniqueName(nowMs: number): readonly ResponderEffect[] {
    const presences = [...this.#links.values()];
    const goodbyes = presences.flatMap((presence) => presence.goodbye());
    this.#isUnique = true;
    this.#chooseAtMs = Number.POSITIVE_INFINITY;
    this.#label = identityLabel(this.options.name, this.service.id);
    for (const presence of presences) presence.announceFrom(nowMs, this.#label);
    return goodbyes;
  }

  #choose(nowMs: number): void {
    this.#chooseAtMs = Number.POSITIVE_INFINITY;
    let folded: string;
    do {
      this.#attempt++;
      this.#label = instanceLabel(this.options.name, this.#attempt);
      folded = fold(this.#label);
    } while (this.#claimed.has(folded) || this.options.isTaken(folded));
    for (const presence of this.#links.values()) presence.probeFrom(nowMs, this.#label);
  }

  /** Notes one more conflict. @returns whether there were too many of them lately */
  #isDisputed(nowMs: number): boolean {
    const recent = this.#conflictsAtMs.filter((atMs) => nowMs - atMs < DNSSD.conflictWindowMs);
    this.#conflictsAtMs = [...recent, nowMs];
    return this.#conflictsAtMs.length >= DNSSD.conflictsMax;
  }

  #announce(): readonly ResponderEffect[] {
    if ([...this.#links.values()].some((presence) => presence.isProbing)) return [];
    this.#claimed.clear();
    if (this.#announced === this.#label) return [];
    this.#announced = this.#label;
    return [{ type: "announced", name: this.#label }];
  }
}

/**
 * Whether another service claims our instance's name with these records. The same identity is never a rival: it
 * is ourselves, echoed by loopback, heard on another interface of the same network, or from before a restart.
 * Goodbyes claim nothing.
 */
function hasRival(records: readonly DnsRecord[], own: ServiceRecords, id: string): boolean {
  const living = claims(records, own).filter((record) => record.ttlS > 0);
  return living.length > 0 && !living.some((record) => isOurs(record, own, id));
}

/** Whether we lose the simultaneous probe against these proposed records (RFC 6762, 8.2). */
function losesAgainst(proposed: readonly DnsRecord[], own: ServiceRecords): boolean {
  return compareRecordSets([own.srv, own.txt], claims(proposed, own)) < 0;
}

/** The records that only the owner of our instance's name may have. */
function claims(records: readonly DnsRecord[], own: ServiceRecords): readonly (SrvRecord | TxtRecord)[] {
  return records
    .filter((record) => record.type === "SRV" || record.type === "TXT")
    .filter((record) => sameName(record.name, own.srv.name));
}

function isOurs(record: SrvRecord | TxtRecord, own: ServiceRecords, id: string): boolean {
  if (record.type === "SRV") return sameName(record.data.target, own.srv.data.target);
  return decodeTxt(record.data).id === id;
}
