import { createSocket, type RemoteInfo, type Socket, type SocketType } from "node:dgram";
import { EventEmitter } from "node:events";
import { BlockList } from "node:net";
import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";
import multicastDns from "multicast-dns";
import { asHubcastError, HubcastError } from "../core/errors.js";
import { DNSSD } from "./limits.js";
import { type DnsPacket, fromWire, isCheapToDecode, restoreDots, toWire, type WirePacket } from "./packet.js";
import { PacketTurns, type ReceivedPacket } from "./packet-turns.js";
import type { SendEffect, Sender } from "./presence.js";

/** Packets of one kind that were dropped unread. */
export interface DroppedPackets {
  /** Beyond what an interface takes, or one sender may send (`workWaitingMax`, `senderWorkPerSecondMax`). */
  readonly overLimit: number;
  /** The sender of the last one of those. */
  readonly overLimitFrom?: string;
  /** Larger than multicast DNS allows, cut, or with names that take too long to read. */
  readonly malformed: number;
}

interface LinkSetListener {
  up(via: UsableInterface): void;
  down(link: string): void;
  /** @returns how many services it changed, which is work too */
  packet(link: string, packet: DnsPacket, from: Sender): number;
  warning(warning: HubcastError): void;
}

/** The open links, one per interface, kept equal to the interfaces that are up. */
export class LinkSet {
  readonly #links = new Map<string, Link>();
  /** Warnings given, so that a fault that stays is told once. */
  readonly #warned = new Set<string>();
  readonly #dropped = { overLimit: 0, malformed: 0, overLimitFrom: undefined as string | undefined };
  /** All interfaces with their subnets, wanted or not: they tell where a packet came in. */
  #machine: readonly UsableInterface[] = [];
  readonly #reading = new PacketTurns(
    (packet) => this.#read(packet),
    (sender) => {
      this.#dropped.overLimit++;
      this.#dropped.overLimitFrom = sender;
    },
  );
  #checking: Promise<void> | undefined;
  #closed = false;

  constructor(
    private readonly wanted: readonly string[] | undefined,
    private readonly listener: LinkSetListener,
  ) {}

  /**
   * @param optional whether to go on without any interface: each is tried again at every check
   * @throws portInUse, cannotListen when there are interfaces but none can be used
   */
  async open(optional: boolean): Promise<void> {
    const failures = await this.#openMissing(this.#look());
    if (this.#links.size === 0 && failures[0] && !optional) throw failures[0];
    for (const failure of failures) this.#warn(failure);
  }

  interfaces(): readonly UsableInterface[] {
    return [...this.#links.values()].map((link) => link.via);
  }

  get dropped(): DroppedPackets {
    const { overLimitFrom, ...counts } = this.#dropped;
    return { ...counts, ...(overLimitFrom !== undefined && { overLimitFrom }) };
  }

  /** Reads the machine's interfaces again: closes links whose interface is gone or changed, opens new ones. */
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
    const closed = [...this.#links].map(([name, link]) => this.#drop(name, link));
    await Promise.all([...closed, this.#checking]);
  }

  /** Without a free file descriptor the system does not tell: then what was seen last holds. */
  #look(): readonly UsableInterface[] {
    try {
      this.#machine = usableInterfaces();
    } catch (error) {
      this.#warn(asHubcastError(error));
    }
    return this.wanted ? this.#machine.filter((via) => isWanted(via, this.wanted!)) : this.#machine;
  }

  async #check(): Promise<void> {
    const usable = this.#look();
    for (const [name, link] of this.#links) {
      const now = usable.find((candidate) => candidate.name === name);
      if (now && isSameAs(now, link.via)) {
        link.rejoin();
        continue;
      }
      const closed = this.#drop(name, link);
      this.listener.down(name);
      await closed;
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
      received: (from, packet) => this.#onReceived(via, from, packet),
      packet: (packet, from) => {
        if (!this.#links.has(via.name)) return;
        const changes = this.listener.packet(via.name, packet, from);
        this.#reading.charge(via.name, from.address, changes);
      },
      fault: (error) => this.#warn(error),
    });
    if (this.#closed) return link.close();
    this.#links.set(via.name, link);
    this.#reading.open(via);
    this.listener.up(via);
  }

  #onReceived(via: UsableInterface, from: string, packet: ReceivedPacket): void {
    if (cameInThrough(via, from, this.#machine)) this.#reading.add(via.name, from, packet);
  }

  #read({ bytes, decode }: ReceivedPacket): void {
    if (isCheapToDecode(bytes)) decode();
    else this.#dropped.malformed++;
  }

  async #drop(name: string, link: Link): Promise<void> {
    this.#links.delete(name);
    this.#reading.close(name);
    await link.close();
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

/** Multicast DNS on one interface. */
interface Link {
  readonly via: UsableInterface;
  /** Sends to the group, from each subnet; or to one asker. Resolves when the packet left or failed; never rejects. */
  send(packet: DnsPacket, to?: Sender): Promise<void>;
  /** Joins the group again if the interface was replaced under us; does nothing when it is still joined. */
  rejoin(): void;
  close(): Promise<void>;
}

interface LinkListener {
  /** @param from its source address @param packet to be decoded, or not */
  received(from: string, packet: ReceivedPacket): void;
  packet(packet: DnsPacket, from: Sender): void;
  /** A later fault: of sending, of the socket. The link stays. */
  fault(error: HubcastError): void;
}

/**
 * Opens multicast DNS on one interface, with sockets of its own: one socket sends through one interface, from one address.
 * Over IPv4 each subnet of the interface has a socket, as hosts of one subnet may ignore packets from another.
 * @throws portInUse; cannotListen when neither IPv4 nor IPv6 can be used; then nothing is left open
 */
async function openLink(via: UsableInterface, listener: LinkListener): Promise<Link> {
  const endpoints = firstOfEachSubnet(via)
    .slice(0, DNSSD.subnetsMax)
    .map(({ address }): Endpoint => ({ type: "udp4", address }));
  // On the loopback interface IPv4 is always there, and IPv6 multicast mostly not.
  const hasIPv6 = !via.loopback && via.networks.some(({ family }) => family === "IPv6");
  if (hasIPv6) endpoints.push({ type: "udp6", address: `::%${via.name}` });
  // One socket of each family receives; the others only send.
  const opened = await Promise.allSettled(
    endpoints.map((endpoint, index) =>
      openChannel(via, endpoint, index === 0 || endpoint.type === "udp6" ? listener : undefined),
    ),
  );
  const channels = opened.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  const failures = opened.flatMap((outcome): NodeJS.ErrnoException[] =>
    outcome.status === "rejected" ? [outcome.reason] : [],
  );
  const close = async () => {
    await Promise.all(channels.map((channel) => channel.close()));
  };
  // A machine without IPv6 does with IPv4. A port that is held may be free a second later, and then both are used.
  const held = failures.find(({ code }) => code === "EADDRINUSE");
  if (held || channels.length === 0) {
    await close();
    throw asLinkError(held ?? failures[0]!, via);
  }
  const fault = (error: NodeJS.ErrnoException) => {
    // An IPv6 address is not to be used in its first second, and an interface may go down: packets are repeated.
    if (!/^(EADDRNOTAVAIL|ENETUNREACH|ENETDOWN|EHOSTUNREACH|ENODEV)$/.test(error.code ?? ""))
      listener.fault(asLinkError(error, via));
  };
  for (const failure of failures) fault(failure);
  const channelTo = ({ address }: Sender) => {
    const subnet = via.networks.find((network) => isIn(network, address));
    return channels.find(({ type, address: ours }) =>
      subnet?.family === "IPv6" ? type === "udp6" : subnet && isIn(subnet, ours),
    );
  };
  return {
    via,
    async send(packet, to) {
      const targets = to ? [channelTo(to) ?? channels[0]!] : channels;
      await Promise.all(targets.map((channel) => channel.send(packet, to).catch(fault)));
    },
    rejoin() {
      for (const channel of channels) channel.rejoin();
    },
    close,
  };
}

/** An IPv4 address of an interface to send from, or all of its IPv6 (`::%eth0`). */
interface Endpoint {
  readonly type: SocketType;
  readonly address: string;
}

interface Channel extends Endpoint {
  send(packet: DnsPacket, to?: Sender): Promise<void>;
  rejoin(): void;
  close(): Promise<void>;
}

/** @param listener absent where another socket of the interface receives */
async function openChannel(
  via: UsableInterface,
  endpoint: Endpoint,
  listener: LinkListener | undefined,
): Promise<Channel> {
  const { type, address } = endpoint;
  const group = type === "udp4" ? DNSSD.group : DNSSD.groupIPv6;
  const socket = await bindSocket(endpoint, via.name);
  const front = new Front(socket);
  const fault = (error: Error) => listener?.fault(asLinkError(error, via));
  socket.on("error", fault);
  if (listener)
    socket.on("message", (bytes: Buffer, from: RemoteInfo) => {
      listener.received(from.address, { bytes, decode: () => front.emit("message", bytes, from) });
    });
  const mdns = multicastDns({
    type,
    ip: group,
    interface: address,
    socket: front as unknown as Socket,
    bind: false,
    multicast: false,
  });
  mdns.on("packet", (wire: WirePacket, from: RemoteInfo) => {
    try {
      const packet = fromWire(wire);
      const inSubnet = isInSubnet(via, from.address);
      if (packet) listener?.packet(packet, { address: from.address, port: from.port, inSubnet });
    } catch (error) {
      listener?.fault(asHubcastError(error));
    }
  });
  // A packet that cannot be decoded is a fault of its sender.
  mdns.on("warning", () => {});
  mdns.on("error", fault);
  return {
    type,
    address,
    send: (packet, to) => send(mdns, packet, to),
    rejoin: () => join(socket, group, address),
    close: () => new Promise((resolve) => mdns.destroy(resolve)),
  };
}

async function bindSocket({ type, address }: Endpoint, name: string): Promise<Socket> {
  const socket = createSocket({ type, reuseAddr: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind({ port: DNSSD.port, address: bindAddress(type, name) }, () => {
        socket.off("error", reject);
        resolve();
      });
    });
    const group = type === "udp4" ? DNSSD.group : DNSSD.groupIPv6;
    socket.setMulticastTTL(255);
    socket.setMulticastLoopback(true);
    socket.addMembership(group, address);
    socket.setMulticastInterface(address);
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

/**
 * The group: unicast to the port goes to the socket bound last, and must not be taken from another responder of this
 * machine. With a zone the socket also receives from that interface alone. Windows cannot bind to a group.
 */
function bindAddress(type: SocketType, name: string): string {
  if (process.platform === "win32") return type === "udp4" ? "0.0.0.0" : "::";
  return type === "udp4" ? DNSSD.group : `${DNSSD.groupIPv6}%${name}`;
}

function asLinkError(error: NodeJS.ErrnoException, via: UsableInterface): HubcastError {
  const where = `${via.name} (${via.address})`;
  if (error.code === "EADDRINUSE") {
    return new HubcastError(
      "portInUse",
      `another program holds UDP port ${DNSSD.port} for itself on ${where}`,
      {
        suggestions: [
          "Stop that program, or go without multicast DNS: --no-mdns, and --peer ADDRESS for nodes.",
        ],
        cause: error,
      },
    );
  }
  return new HubcastError("cannotListen", `no multicast DNS on ${where}: ${error.message}`, {
    suggestions: [
      "Choose interfaces with --mdns-interface, or go without: --no-mdns, and --peer ADDRESS for nodes.",
    ],
    cause: error,
  });
}

function join(socket: Socket, group: string, address: string): void {
  try {
    socket.addMembership(group, address);
    socket.setMulticastInterface(address);
  } catch {
    // EADDRINUSE: still joined. Anything else: the interface is going away, and the next check closes the link.
  }
}

/** multicast-dns encodes inside `send` and may throw there. */
async function send(mdns: multicastDns.MulticastDNS, packet: DnsPacket, to?: Sender): Promise<void> {
  const wire = toWire(packet);
  await new Promise<void>((resolve, reject) => {
    const done = (error?: Error | null) => (error ? reject(error) : resolve());
    const target = to && { address: to.address, port: to.port };
    if (packet.kind === "response") mdns.respond(wire, target, done);
    else mdns.query(wire, target, done);
  });
}

/** The socket that multicast-dns gets: it passes only checked packets, and restores dots that its encoder cannot write. */
class Front extends EventEmitter {
  constructor(private readonly socket: Socket) {
    super();
  }

  send(
    message: Buffer,
    offset: number,
    length: number,
    port: number,
    address: string,
    done: () => void,
  ): void {
    restoreDots(message);
    this.socket.send(message, offset, length, port, address, done);
  }

  close(done?: () => void): void {
    this.socket.close(done);
  }
}

export interface Network {
  readonly family: "IPv4" | "IPv6";
  readonly address: string;
  /** `10.0.0.1/24` */
  readonly cidr: string;
  readonly subnet: BlockList;
  /** Number of the interface, for a link-local IPv6 address: an interface that is made anew has another. */
  readonly scope: number;
}

/** An interface of this machine that is up. */
export interface UsableInterface {
  readonly name: string;
  /** The address that stands for it: its first one, of IPv4 if it has any. */
  readonly address: string;
  /** All of its addresses, IPv4 first, and the subnet each is in. */
  readonly networks: readonly Network[];
  readonly loopback: boolean;
}

/**
 * The interfaces to use now.
 * @param wanted addresses or names; undefined for all, the loopback interface included
 */
export function usableInterfaces(wanted?: readonly string[]): readonly UsableInterface[] {
  const usable = Object.entries(networkInterfaces()).flatMap(
    ([name, entries = []]) => asUsable(name, entries) ?? [],
  );
  return wanted ? usable.filter((via) => isWanted(via, wanted)) : usable;
}

/** @returns undefined for an interface without an address */
export function asUsable(
  name: string,
  entries: readonly (Pick<NetworkInterfaceInfo, "family" | "address" | "cidr" | "internal"> & {
    readonly scopeid?: number;
  })[],
): UsableInterface | undefined {
  const networks = entries
    .filter(({ internal, family }) => !internal || family === "IPv4")
    .map(({ family, address, cidr, scopeid = 0 }): Network => {
      const subnet = new BlockList();
      const bits = cidr?.split("/")[1] ?? (family === "IPv4" ? 32 : 128);
      subnet.addSubnet(address, Number(bits), family === "IPv4" ? "ipv4" : "ipv6");
      return { family, address, cidr: `${address}/${bits}`, subnet, scope: scopeid };
    })
    // No localeCompare: the collation tables of ICU take 3 MiB.
    .sort((a, b) => Number(a.family === "IPv6") - Number(b.family === "IPv6"));
  const first = networks[0];
  return first && { name, address: first.address, networks, loopback: entries[0]!.internal };
}

/** Whether an interface has the same addresses as before, and was not replaced by another of its name. */
function isSameAs(now: UsableInterface, before: UsableInterface): boolean {
  const textOf = ({ networks }: UsableInterface) =>
    networks.map(({ cidr, scope }) => `${cidr}%${scope}`).join(" ");
  return textOf(now) === textOf(before);
}

/** The first IPv4 address in each subnet of an interface. */
function firstOfEachSubnet({ networks }: UsableInterface): readonly Network[] {
  const bitsOf = ({ cidr }: Network) => cidr.split("/")[1];
  return networks.filter(
    (network, index) =>
      network.family === "IPv4" &&
      networks.findIndex((other) => isIn(other, network.address) && bitsOf(other) === bitsOf(network)) ===
        index,
  );
}

/** @throws invalidOption when one of the wanted interfaces does not exist, naming those that do */
export function checkInterfaces(wanted: readonly string[]): void {
  const usable = usableInterfaces();
  for (const wish of wanted) {
    if (usable.some((via) => isWanted(via, [wish]))) continue;
    const names = usable.map(({ name, address }) => `${name} (${address})`).join(", ");
    throw new HubcastError("invalidOption", `no interface "${wish}" with an address is up on this machine`, {
      suggestions: [`Name one of these by name or address: ${names || "none is up"}.`],
    });
  }
}

/**
 * Whether a packet to the group came in through an interface. Linux hands every such packet to every socket that is
 * bound to the group, whichever interface it came in through, so this goes by its source: an IPv6 socket is bound to its
 * interface; an IPv4 source is in a subnet of the interface, or in none of any interface. Such a packet is on the link
 * all the same (RFC 6762, 11), and where there are several links, on each of them.
 * @param machine all interfaces of this machine
 */
export function cameInThrough(
  via: UsableInterface,
  source: string,
  machine: readonly UsableInterface[],
): boolean {
  if (isV6(source) || isInSubnet(via, source)) return true;
  // No other machine is on loopback, and none may speak there.
  if (via.loopback || source.startsWith("127.")) return false;
  return !machine.some((other) => isInSubnet(other, source));
}

/** @param address from a socket or an interface: net.isIPv6 checks each character, by a pattern that takes 0.2 MiB. */
function isV6(address: string): boolean {
  return address.includes(":");
}

function isInSubnet(via: UsableInterface, address: string): boolean {
  return via.networks.some((network) => isIn(network, address));
}

/** @param address an IP, IPv6 perhaps with its zone */
function isIn({ family, subnet }: Network, address: string): boolean {
  const [bare] = address.split("%");
  if (isV6(bare!) !== (family === "IPv6")) return false;
  return subnet.check(bare!, family === "IPv6" ? "ipv6" : "ipv4");
}

function isWanted({ name, networks }: UsableInterface, wanted: readonly string[]): boolean {
  return wanted.some((wish) => name === wish || networks.some(({ address }) => address === wish));
}
