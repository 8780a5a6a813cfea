import { setTimeout as sleep } from "node:timers/promises";
import { asHubcastError, HubcastError } from "../core/errors.js";
import type { Machine } from "../core/machine.js";
import { nowMs, WakeTimer } from "../runtime/runner.js";
import { Browser, type BrowserEffect, type DiscoveredService } from "./browser.js";
import { DNSSD } from "./limits.js";
import { checkInterfaces, type DroppedPackets, LinkSet, type UsableInterface } from "./links.js";
import type { DnsPacket } from "./packet.js";
import type { SendEffect, Sender } from "./presence.js";
import { encodeTxt, type ServiceType } from "./records.js";
import { Responder, type ResponderInput } from "./responder.js";

export type { DiscoveredService } from "./browser.js";
export type { DroppedPackets } from "./links.js";

export interface DnsSdOptions {
  /** Interfaces by name or IPv4 address; default all that are up, the loopback interface included. */
  readonly interfaces?: readonly string[];
  /** Called for faults that end nothing: one interface of several, a full cache, a listener that threw. */
  readonly onWarning?: (warning: HubcastError) => void;
  /** Opens also when no interface can be used, with a warning, and tries again; default false. */
  readonly optional?: boolean;
  /** Closes when it aborts. */
  readonly signal?: AbortSignal;
}

/** DNS-SD over multicast DNS on the interfaces of this machine. */
export interface DnsSd extends AsyncDisposable {
  /**
   * Makes a service known under a name of its own. Resolves when it is announced on all interfaces: about 0.8 s
   * of probing, longer when the name is taken. Rejects with `stopping` when closed before.
   * @throws invalidOption when the port is out of range or the TXT record too large
   */
  advertise(service: AdvertisedService): Promise<Advertisement>;
  /** Looks for services of a type, from now on until closed; those already known are told at once. */
  browse(type: ServiceType, listener: BrowseListener): { close(): void };
  /** Packets that were dropped unread, since it was opened. */
  readonly dropped: DroppedPackets;
  /** Says goodbye for everything advertised and gives back all sockets. Idempotent. */
  close(): Promise<void>;
}

export interface AdvertisedService {
  readonly type: ServiceType;
  /** The wished name of the instance; more than 63 bytes are cut off. */
  readonly name: string;
  /** Identity, independent of the name; goes into TXT as `id` and into the host name. */
  readonly id: string;
  /** 1..65535 */
  readonly port: number;
  /** `id` and `txtvers` are added. Together at most 1,000 bytes, 255 per `key=value`. */
  readonly txt: Readonly<Record<string, string>>;
  /** More entries, for one interface only. */
  readonly txtFor?: (interfaceAddress: string) => Readonly<Record<string, string>>;
  /** The addresses to show on an interface; default all of its own. With none it is not advertised there. */
  readonly addressesFor?: (interfaceAddress: string) => readonly string[];
  /** The service was renamed, since the name is taken. */
  readonly onRenamed?: (name: string) => void;
}

export interface Advertisement {
  /** The name as it is now. */
  readonly name: string;
  /** Says goodbye for this service alone. Idempotent. */
  close(): Promise<void>;
}

export interface BrowseListener {
  /** Name, host, port, TXT and an address are known. */
  up(service: DiscoveredService): void;
  /** Another port, address or TXT, or one more interface. */
  changed?(service: DiscoveredService): void;
  /** It said goodbye, or was not heard of for as long as its records live (2 min). */
  down(service: DiscoveredService): void;
}

/**
 * Opens discovery on this machine's interfaces.
 * @throws invalidOption for an interface that does not exist; portInUse or cannotListen when none can be used
 */
export async function openDnsSd(options: DnsSdOptions = {}): Promise<DnsSd> {
  options.signal?.throwIfAborted();
  if (options.interfaces) checkInterfaces(options.interfaces);
  const shell = new Shell(options);
  await shell.open();
  if (options.signal?.aborted) await shell.close();
  options.signal?.throwIfAborted();
  return shell;
}

/** Owns the sockets and the one timer; runs a browser and, per advertised service, a responder. */
class Shell implements DnsSd {
  readonly #links: LinkSet;
  readonly #browser = new Browser(Math.random);
  readonly #listeners = new Map<ServiceType, Set<BrowseListener>>();
  readonly #announcers = new Set<Announcer>();
  readonly #timer = new WakeTimer({
    now: nowMs,
    dueAtMs: () => this.#dueAtMs(),
    wake: (nowMs) => this.#wake(nowMs),
  });
  #checkAtMs = 0;
  #closing: Promise<void> | undefined;

  constructor(private readonly options: DnsSdOptions) {
    this.#links = new LinkSet(options.interfaces, {
      up: (via) => this.#onLinkUp(via),
      down: (link) => this.#onLinkDown(link),
      packet: (link, packet, from) => this.#onPacket(link, packet, from),
      warning: (warning) => this.#warn(warning),
    });
  }

  async open(): Promise<void> {
    await this.#links.open(this.options.optional ?? false);
    this.#checkAtMs = nowMs() + DNSSD.interfaceCheckMs;
    this.options.signal?.addEventListener("abort", this.#onAbort);
    this.#timer.plan();
  }

  async advertise(service: AdvertisedService): Promise<Advertisement> {
    this.#assertOpen();
    const announcer = new Announcer(service, {
      isTaken: (label) => this.#browser.isTaken(label, service.type),
      warn: (error) => this.#warn(asHubcastError(error)),
    });
    for (const via of this.#links.interfaces()) announcer.linkUp(via, nowMs());
    this.#announcers.add(announcer);
    this.#feed(announcer, { type: "woke" });
    const close = async () => {
      this.#announcers.delete(announcer);
      await this.#deliver(announcer.close(nowMs()));
    };
    await announcer.announced;
    return {
      get name() {
        return announcer.name;
      },
      close,
    };
  }

  browse(type: ServiceType, listener: BrowseListener): { close(): void } {
    this.#assertOpen();
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners.add(listener));
    const known = this.#browser.services(type);
    this.#feed(this.#browser, { type: "browsed", service: type });
    // After the caller has its handle.
    queueMicrotask(() => {
      for (const service of known) {
        if (listeners.has(listener)) this.#guard(() => listener.up(service));
      }
    });
    return {
      close: () => {
        if (!listeners.delete(listener) || listeners.size > 0 || this.#closing) return;
        this.#listeners.delete(type);
        this.#feed(this.#browser, { type: "unbrowsed", service: type });
      },
    };
  }

  get dropped(): DroppedPackets {
    return this.#links.dropped;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #onAbort = () => void this.close();

  async #close(): Promise<void> {
    this.options.signal?.removeEventListener("abort", this.#onAbort);
    this.#timer.stop();
    for (const listeners of this.#listeners.values()) listeners.clear();
    const goodbyes = [...this.#announcers].flatMap((announcer) => announcer.close(nowMs()));
    this.#announcers.clear();
    await this.#deliver(goodbyes);
    await this.#links.close();
  }

  /** Sends, and waits until the packets left the process, but not for ever. */
  async #deliver(sends: readonly SendEffect[]): Promise<void> {
    const sent = Promise.all(sends.map((effect) => this.#links.send(effect)));
    await Promise.race([sent, sleep(DNSSD.closeWaitMs, undefined, { ref: false })]);
  }

  #onLinkUp(via: UsableInterface): void {
    for (const announcer of this.#announcers) announcer.linkUp(via, nowMs());
    this.#feed(this.#browser, {
      type: "linkUp",
      link: via.name,
      interfaceAddress: via.address,
      loopback: via.loopback,
    });
  }

  #onLinkDown(link: string): void {
    for (const announcer of this.#announcers) this.#feed(announcer, { type: "linkDown", link });
    this.#feed(this.#browser, { type: "linkDown", link });
  }

  #onPacket(link: string, packet: DnsPacket, from: Sender): number {
    if (this.#closing) return 0;
    const input = { type: "packet", link, packet, from } as const;
    for (const announcer of this.#announcers) this.#feed(announcer, input);
    return this.#feed(this.#browser, input);
  }

  /** @returns how many effects that had */
  #feed<Input>(machine: Pick<Machine<Input, BrowserEffect>, "handle">, input: Input): number {
    const effects = machine.handle(input, nowMs());
    for (const effect of effects) this.#carryOut(effect);
    this.#timer.plan();
    return effects.length;
  }

  #carryOut(effect: BrowserEffect): void {
    switch (effect.type) {
      case "send":
        void this.#links.send(effect);
        return;
      case "full":
        this.#warn(
          new HubcastError("tooManyServices", `more than ${DNSSD.instancesMax} services on ${effect.link}`, {
            suggestions: ["Find out who announces so many; further ones are not seen."],
          }),
        );
        return;
      default:
        for (const listener of [...(this.#listeners.get(effect.service.type) ?? [])]) {
          this.#guard(() => listener[effect.type]?.(effect.service));
        }
    }
  }

  /** The first instant that any machine waits for. */
  #dueAtMs(): number {
    let dueAtMs = Math.min(this.#checkAtMs, this.#browser.wakeAtMs);
    for (const announcer of this.#announcers) dueAtMs = Math.min(dueAtMs, announcer.wakeAtMs);
    return dueAtMs;
  }

  #wake(nowMs: number): void {
    if (nowMs >= this.#checkAtMs) {
      this.#checkAtMs = nowMs + DNSSD.interfaceCheckMs;
      void this.#links.check();
    }
    for (const machine of [...this.#announcers, this.#browser]) {
      if (machine.wakeAtMs <= nowMs) this.#feed<{ type: "woke" }>(machine, { type: "woke" });
    }
  }

  #assertOpen(): void {
    if (this.#closing) throw new HubcastError("stopping", "discovery is closed");
  }

  /** Calls a listener; its exception must not end a socket's callback. */
  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#warn(asHubcastError(error));
    }
  }

  #warn(warning: HubcastError): void {
    try {
      this.options.onWarning?.(warning);
    } catch {
      // The last one to be told cannot be told that it failed.
    }
  }
}

interface AnnouncerOptions {
  readonly isTaken: (label: string) => boolean;
  /** Takes the exception of a callback of the service. */
  readonly warn: (error: unknown) => void;
}

/** A service that a caller advertises: its responder, its callbacks, and the promise that waits for its name. */
class Announcer {
  /** Resolves at the first announcement; rejects with `stopping` when closed before. */
  readonly announced: Promise<void>;
  readonly #responder: Responder;
  readonly #settled = Promise.withResolvers<void>();
  /** The name as announced last; first the wished one. */
  #name: string;
  #closed = false;

  /** @throws invalidOption */
  constructor(
    private readonly service: AdvertisedService,
    private readonly options: AnnouncerOptions,
  ) {
    const { type, id, port, name } = service;
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      throw new HubcastError("invalidOption", `port ${port} cannot be advertised; it must be 1 to 65535`);
    }
    encodeTxt(this.#txt({}));
    this.announced = this.#settled.promise;
    this.#responder = new Responder(
      { type, id, port },
      { name, isTaken: options.isTaken, random: Math.random },
    );
    this.#name = this.#responder.label;
  }

  get name(): string {
    return this.#name;
  }

  get wakeAtMs(): number {
    return this.#responder.wakeAtMs;
  }

  /** The service is shown on an interface, unless it has nothing to show there. */
  linkUp(via: UsableInterface, nowMs: number): void {
    try {
      const addresses =
        this.service.addressesFor?.(via.address) ?? via.networks.map(({ address }) => address);
      if (addresses.length === 0) return;
      const txt = this.#txt(this.service.txtFor?.(via.address) ?? {});
      encodeTxt(txt);
      this.#responder.handle(
        { type: "linkUp", link: via.name, loopback: via.loopback, addresses, txt },
        nowMs,
      );
    } catch (error) {
      this.options.warn(error);
    }
  }

  handle(input: Exclude<ResponderInput, { type: "linkUp" }>, nowMs: number): readonly SendEffect[] {
    const sends: SendEffect[] = [];
    for (const effect of this.#responder.handle(input, nowMs)) {
      if (effect.type === "send") sends.push(effect);
      else this.#onAnnounced(effect.name);
    }
    return sends;
  }

  /** @returns the goodbyes, still to be sent */
  close(nowMs: number): readonly SendEffect[] {
    if (this.#closed) return [];
    this.#closed = true;
    this.#settled.reject(
      new HubcastError("stopping", "discovery was closed before the service was announced"),
    );
    return this.handle({ type: "closed" }, nowMs);
  }

  #onAnnounced(name: string): void {
    const renamed = name !== this.#name;
    this.#name = name;
    this.#settled.resolve();
    try {
      if (renamed) this.service.onRenamed?.(name);
    } catch (error) {
      this.options.warn(error);
    }
  }

  #txt(more: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
    return { txtvers: "1", ...this.service.txt, ...more, id: this.service.id };
  }
}
