import { asHubcastError, type HubcastError } from "../../core/errors.js";
import { type UsableInterface, usableInterfaces } from "./interfaces.js";
import { type Link, openLink } from "./link.js";
import type { SendEffect, Sender } from "./protocol/link.js";
import type { DnsPacket } from "./protocol/packet.js";

interface LinkSetListener {
  up(via: UsableInterface): void;
  down(link: string): void;
  packet(link: string, packet: DnsPacket, from: Sender): void;
  warning(warning: HubcastError): void;
}

/** The open links, one per interface, kept equal to the interfaces that are up. */
export class LinkSet {
  readonly #links = new Map<string, Link>();
  /** Warnings given, so that a fault that stays is told once. */
  readonly #warned = new Set<string>();
  #checking: Promise<void> | undefined;
  #closed = false;

  constructor(
    private readonly wanted: readonly string[] | undefined,
    private readonly listener: LinkSetListener,
  ) {}

  /** @throws portInUse, cannotListen when there are interfaces but none can be used */
  async open(): Promise<void> {
    const failures = await this.#openMissing(usableInterfaces(this.wanted));
    if (this.#links.size === 0 && failures[0]) throw failures[0];
    for (const failure of failures) this.#warn(failure);
  }

  interfaces(): readonly UsableInterface[] {
    return [...this.#links.values()].map((link) => link.via);
  }

  /** Looks at the machine's interfaces again: closes links whose interface went or changed, opens new ones. */
  check(): Promise<void> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  async send({ link, packet, to }: SendEffect): Promise<void> {
    await this.#links.get(link)?.send(packet, to);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const links = [...this.#links.values()];
    this.#links.clear();
    await Promise.all([...links.map((link) => link.close()), this.#checking]);
  }

  async #check(): Promise<void> {
    const usable = usableInterfaces(this.wanted);
    for (const [name, link] of this.#links) {
      const now = usable.find((candidate) => candidate.name === name);
      if (now && JSON.stringify(now.networks) === JSON.stringify(link.via.networks)) {
        link.rejoin();
        continue;
      }
      this.#links.delete(name);
      this.listener.down(name);
      await link.close();
    }
    for (const failure of await this.#openMissing(usable)) this.#warn(failure);
  }

  async #openMissing(usable: readonly UsableInterface[]): Promise<readonly HubcastError[]> {
    const missing = usable.filter(({ name }) => !this.#links.has(name));
    const outcomes = await Promise.allSettled(missing.map((via) => this.#open(via)));
    return outcomes.flatMap((outcome) =>
      outcome.status === "rejected" ? [asHubcastError(outcome.reason)] : [],
    );
  }

  async #open(via: UsableInterface): Promise<void> {
    const link = await openLink(via, {
      packet: (packet, from) => {
        if (this.#links.has(via.name)) this.listener.packet(via.name, packet, from);
      },
      fault: (error) => this.#warn(error),
    });
    if (this.#closed) return link.close();
    this.#links.set(via.name, link);
    this.listener.up(via);
  }

  #warn(warning: HubcastError): void {
    if (this.#closed || this.#warned.has(warning.message)) return;
    // Bounded: a fault whose text changes each time is told a hundred times at most.
    if (this.#warned.size < 100) {
      this.#warned.add(warning.message);
      this.listener.warning(warning);
    }
  }
}
