import { HubcastError } from "../../core/errors.js";
import type { AdvertisedService } from "./index.js";
import type { UsableInterface } from "./interfaces.js";
import type { SendEffect } from "./protocol/link.js";
import { Responder, type ResponderInput } from "./protocol/responder.js";
import { encodeTxt } from "./protocol/txt.js";

interface AnnouncerOptions {
  readonly isTaken: (label: string) => boolean;
  /** Takes what a callback of the service threw. */
  readonly warn: (error: unknown) => void;
}

/** A service that a caller advertises: its responder, its callbacks, and the promise that waits for its name. */
export class Announcer {
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
