import { asHubcastError, HubcastError } from "../../core/errors.js";
import type { Machine } from "../../core/machine.js";
import { Announcer } from "./announcer.js";
import type { AdvertisedService, Advertisement, BrowseListener, DnsSd, DnsSdOptions } from "./index.js";
import { checkInterfaces, type UsableInterface } from "./interfaces.js";
import { LinkSet } from "./link-set.js";
import { Browser, type BrowserEffect } from "./protocol/browser.js";
import { DNSSD } from "./protocol/limits.js";
import type { SendEffect, Sender } from "./protocol/link.js";
import type { ServiceType } from "./protocol/names.js";
import type { DnsPacket } from "./protocol/packet.js";

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
  #timer: NodeJS.Timeout | undefined;
  #wakeAtMs = Number.POSITIVE_INFINITY;
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
    await this.#links.open();
    this.#checkAtMs = nowMs() + DNSSD.interfaceCheckMs;
    this.options.signal?.addEventListener("abort", this.#onAbort);
    this.#arm();
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
    clearTimeout(this.#timer);
    for (const listeners of this.#listeners.values()) listeners.clear();
    const goodbyes = [...this.#announcers].flatMap((announcer) => announcer.close(nowMs()));
    this.#announcers.clear();
    await this.#deliver(goodbyes);
    await this.#links.close();
  }

  /** Sends, and waits until the packets left the process, but not for ever. */
  async #deliver(sends: readonly SendEffect[]): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, DNSSD.closeWaitMs);
    });
    const sent = sends.map((effect) => this.#links.send(effect));
    await Promise.race([Promise.all(sent), late]);
    clearTimeout(timer);
  }

  #onLinkUp(via: UsableInterface): void {
    for (const announcer of this.#announcers) announcer.linkUp(via, nowMs());
    this.#feed(this.#browser, { type: "linkUp", link: via.name, interfaceAddress: via.address });
  }

  #onLinkDown(link: string): void {
    for (const announcer of this.#announcers) this.#feed(announcer, { type: "linkDown", link });
    this.#feed(this.#browser, { type: "linkDown", link });
  }

  #onPacket(link: string, packet: DnsPacket, from: Sender): void {
    if (this.#closing) return;
    const input = { type: "packet", link, packet, from } as const;
    for (const announcer of this.#announcers) this.#feed(announcer, input);
    this.#feed(this.#browser, input);
  }

  #feed<Input>(machine: Pick<Machine<Input, BrowserEffect>, "handle">, input: Input): void {
    for (const effect of machine.handle(input, nowMs())) this.#carryOut(effect);
    this.#arm();
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

  /** Sets the one timer to the first moment that any machine waits for. */
  #arm(): void {
    if (this.#closing) return;
    let wakeAtMs = Math.min(this.#checkAtMs, this.#browser.wakeAtMs);
    for (const announcer of this.#announcers) wakeAtMs = Math.min(wakeAtMs, announcer.wakeAtMs);
    if (wakeAtMs === this.#wakeAtMs && this.#timer) return;
    clearTimeout(this.#timer);
    this.#wakeAtMs = wakeAtMs;
    this.#timer = setTimeout(() => this.#wake(), Math.max(1, Math.ceil(wakeAtMs - nowMs())));
  }

  #wake(): void {
    this.#timer = undefined;
    const now = nowMs();
    if (now >= this.#checkAtMs) {
      this.#checkAtMs = now + DNSSD.interfaceCheckMs;
      void this.#links.check();
    }
    for (const machine of [...this.#announcers, this.#browser]) {
      if (machine.wakeAtMs <= now) this.#feed<{ type: "woke" }>(machine, { type: "woke" });
    }
    this.#arm();
  }

  #assertOpen(): void {
    if (this.#closing) throw new HubcastError("stopping", "discovery is closed");
  }

  /** Calls out; what a listener throws must not end a socket's callback. */
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

/** Epoch milliseconds that no change of the clock moves: lives of records are lengths, not dates. */
function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
