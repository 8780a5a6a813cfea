import type { Machine, Random } from "../../../core/machine.js";
import { DNSSD } from "./limits.js";
import type { LinkUp, SendEffect, Sender } from "./link.js";
import { fold, instanceLabel } from "./names.js";
import type { DnsPacket } from "./packet.js";
import { Presence } from "./presence.js";
import { losesAgainst, rivalIn } from "./rival.js";
import type { ServiceIdentity } from "./service.js";

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
  /** Whether a label is in use as far as anybody knows; only asked about names after the first. */
  readonly isTaken: (label: string) => boolean;
}

/**
 * Advertises one service on all interfaces: probes its name, announces it, answers for it, gives it up for
 * `name (2)` when another identity has it, and says goodbye. The name is the same on all interfaces.
 * @see RFC 6762, sections 6 to 10
 */
export class Responder implements Machine<ResponderInput, ResponderEffect> {
  #label: string;
  #attempt = 1;
  #announced: string | undefined;
  readonly #links = new Map<string, Presence>();
  /** Identities that won against us under the present name. */
  readonly #rivals = new Set<string>();
  #conflictsAtMs: number[] = [];

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
    let wakeAtMs = Number.POSITIVE_INFINITY;
    for (const presence of this.#links.values()) wakeAtMs = Math.min(wakeAtMs, presence.wakeAtMs);
    return wakeAtMs;
  }

  handle(input: ResponderInput, nowMs: number): readonly ResponderEffect[] {
    switch (input.type) {
      case "linkUp": {
        const startAtMs = nowMs + Math.round(this.options.random() * DNSSD.probeDelayMsMax);
        const presence = new Presence(this.service, input, this.options.random, this.#label, startAtMs);
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
      const rival = isProbing ? rivalIn(packet.authorities, records, this.service.id) : undefined;
      if (rival !== undefined && losesAgainst(packet.authorities, records)) {
        this.#remember(rival);
        presence.probeFrom(nowMs + DNSSD.tieBreakWaitMs, this.#label);
      }
      return presence.answer(packet, from, nowMs);
    }
    // 6: answers come from the port of multicast DNS, all else is forged.
    if (from.port !== DNSSD.port) return [];
    // Before the first probe nobody was asked yet; whoever has the name will say so again.
    if (presence.isWaiting) return [];
    const rival = rivalIn([...packet.answers, ...packet.additionals], records, this.service.id);
    if (rival === undefined) return [];
    this.#remember(rival);
    // 9: a name that was ours is probed again, and given up only if somebody defends it.
    if (!isProbing) presence.probeFrom(nowMs + this.#conflictPauseMs(nowMs), this.#label);
    return isProbing ? this.#rename(nowMs) : [];
  }

  #remember(rival: string): void {
    if (this.#rivals.size < DNSSD.rivalsMax) this.#rivals.add(rival);
  }

  /**
   * Takes the next free number, or, of many nodes that lost the same name at once, the one that fits our place
   * among them: all saw the same probes, so they do not meet again under `name (2)`.
   */
  #rename(nowMs: number): readonly ResponderEffect[] {
    const presences = [...this.#links.values()];
    const goodbyes = presences.flatMap((presence) => presence.goodbye());
    for (let place = this.#rivals.size; place > 0; place--) {
      do {
        this.#attempt++;
        this.#label = instanceLabel(this.options.name, this.#attempt);
      } while (this.options.isTaken(fold(this.#label)));
    }
    this.#rivals.clear();
    const startAtMs = nowMs + this.#conflictPauseMs(nowMs);
    for (const presence of presences) presence.probeFrom(startAtMs, this.#label);
    return goodbyes;
  }

  /** 8.1: whoever meets too many conflicts slows down. */
  #conflictPauseMs(nowMs: number): number {
    const recent = this.#conflictsAtMs.filter((atMs) => nowMs - atMs < DNSSD.conflictWindowMs);
    this.#conflictsAtMs = [...recent, nowMs].slice(-DNSSD.conflictsMax);
    return this.#conflictsAtMs.length >= DNSSD.conflictsMax ? DNSSD.conflictPauseMs : 0;
  }

  #announce(): readonly ResponderEffect[] {
    if (this.#announced === this.#label) return [];
    if ([...this.#links.values()].some((presence) => presence.isProbing)) return [];
    this.#announced = this.#label;
    return [{ type: "announced", name: this.#label }];
  }
}
