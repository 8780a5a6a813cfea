import type { Machine } from "../../src/core/machine.js";
import { Browser, type BrowserEffect, type BrowserInput } from "../../src/discovery/browser.js";
import type { SendEffect, Sender } from "../../src/discovery/presence.js";
import type { ServiceType } from "../../src/discovery/records.js";
import { Responder, type ResponderEffect } from "../../src/discovery/responder.js";

type Event = Exclude<BrowserEffect | ResponderEffect, SendEffect> & { readonly atMs: number };

interface Attached {
  readonly machine: Machine<never, BrowserEffect | ResponderEffect>;
  readonly address: string;
  readonly events: Event[];
  deaf: boolean;
}

export interface Station {
  readonly events: readonly Event[];
  /** Leaves without a word. */
  crash(): void;
}

/** A virtual network of one link called `lan`: everybody hears everything at once, also himself, in virtual time. */
export class VirtualLink {
  nowMs = 1_000_000;
  /** Every packet that was sent, oldest first. */
  readonly sent: (SendEffect & { readonly atMs: number; readonly address: string })[] = [];
  readonly #attached: Attached[] = [];
  readonly #onTheWire: Extract<BrowserInput, { type: "packet" }>[] = [];
  #seed = 1;

  advertise(name: string, id: string, options: { port?: number; txt?: Record<string, string> } = {}) {
    const service = { type: "_hubcast._tcp", id, port: options.port ?? 4000 } as const;
    const machine = new Responder(service, { name, random: this.random, isTaken: () => false });
    const attached = this.#attach(machine);
    const txt = { txtvers: "1", ...options.txt, id };
    const up = { type: "linkUp", link: "lan", loopback: false, addresses: [attached.address], txt } as const;
    this.#feed(attached, up);
    return {
      ...this.#station(attached),
      machine,
      close: () => {
        this.#feed(attached, { type: "closed" });
        this.#detach(attached);
      },
    };
  }

  browse(type: ServiceType = "_hubcast._tcp") {
    const machine = new Browser(this.random);
    const attached = this.#attach(machine);
    const feed = (input: BrowserInput) => this.#feed(attached, input);
    feed({ type: "linkUp", link: "lan", interfaceAddress: attached.address, loopback: false });
    feed({ type: "browsed", service: type });
    const names = () => machine.services(type).map((service) => service.name);
    return { ...this.#station(attached), machine, feed, names };
  }

  /** Lets virtual time pass, waking each machine at the instants it asks for. */
  run(lengthMs: number): void {
    const endMs = this.nowMs + lengthMs;
    for (let step = 0; step < 200_000; step++) {
      const next = this.#attached.toSorted((a, b) => a.machine.wakeAtMs - b.machine.wakeAtMs)[0];
      if (!next || next.machine.wakeAtMs > endMs) {
        this.nowMs = endMs;
        return;
      }
      this.nowMs = Math.max(this.nowMs, next.machine.wakeAtMs);
      this.#feed(next, { type: "woke" });
    }
    throw new Error("the machines never rest");
  }

  /** A packet from somebody who keeps to no rules. */
  inject(packet: SendEffect["packet"], sender: Partial<Sender> = {}): void {
    const from = { address: "10.0.0.99", port: 5353, inSubnet: true, ...sender };
    this.#onTheWire.push({ type: "packet", link: "lan", packet, from });
    // A packet reaches all before what they answer to it does.
    if (this.#onTheWire.length > 1) return;
    for (let next = this.#onTheWire[0]; next; next = this.#onTheWire[0]) {
      for (const attached of [...this.#attached]) this.#feed(attached, next);
      this.#onTheWire.shift();
    }
  }

  readonly random = (): number => {
    this.#seed = (this.#seed * 16_807) % 2_147_483_647;
    return this.#seed / 2_147_483_647;
  };

  #attach(machine: Machine<never, BrowserEffect | ResponderEffect>): Attached {
    const attached = { machine, address: `10.0.0.${this.#attached.length + 1}`, events: [], deaf: false };
    this.#attached.push(attached);
    return attached;
  }

  #station(attached: Attached): Station {
    return { events: attached.events, crash: () => this.#detach(attached) };
  }

  #detach(attached: Attached): void {
    this.#attached.splice(this.#attached.indexOf(attached), 1);
  }

  #feed(attached: Attached, input: unknown): void {
    for (const effect of attached.machine.handle(input as never, this.nowMs)) {
      if (effect.type !== "send") {
        attached.events.push({ ...effect, atMs: this.nowMs });
        continue;
      }
      this.sent.push({ ...effect, atMs: this.nowMs, address: attached.address });
      if (effect.to === undefined) this.inject(effect.packet, { address: attached.address, port: 5353 });
    }
  }
}

/** The names that a responder announced, in order. */
export function namesOf(station: Station): readonly string[] {
  return station.events.flatMap((event) => (event.type === "announced" ? [event.name] : []));
}
