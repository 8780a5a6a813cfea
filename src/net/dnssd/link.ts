import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { EventEmitter } from "node:events";
import multicastDns from "multicast-dns";
import { asHubcastError, HubcastError } from "../../core/errors.js";
import { isOnLink, type UsableInterface } from "./interfaces.js";
import { DNSSD } from "./protocol/limits.js";
import type { Sender } from "./protocol/link.js";
import { type DnsPacket, fromWire, toWire, type WirePacket } from "./protocol/packet.js";

export interface Link {
  readonly via: UsableInterface;
  /** Sends to the group, or to one asker. Resolves when the packet left or failed; never rejects. */
  send(packet: DnsPacket, to?: Sender): Promise<void>;
  /** Joins the group again if the interface was replaced under us; does nothing when it is still joined. */
  rejoin(): void;
  close(): Promise<void>;
}

interface LinkListener {
  /** A packet that came in through this interface. */
  packet(packet: DnsPacket, from: Sender): void;
  /** A later fault: of sending, of the socket. The link stays. */
  fault(error: HubcastError): void;
}

/**
 * Opens multicast DNS on one interface: a socket of its own, since one socket sends through one interface only.
 * @throws portInUse, cannotListen; then nothing is left open
 */
export async function openLink(via: UsableInterface, listener: LinkListener): Promise<Link> {
  const socket = await bindSocket(via);
  const front = new Front(socket);
  const fault = (error: NodeJS.ErrnoException) => listener.fault(asLinkError(error, via));
  socket.on("error", fault);
  socket.on("message", (bytes: Buffer, from: RemoteInfo) => {
    // Linux hands every group packet of the machine to every socket that is bound to the port, whichever
    // interface it came in through. And packets above the limit of RFC 6762 are not worth decoding.
    if (bytes.length > DNSSD.receivedBytesMax || !isOnLink(via, from.address)) return;
    front.emit("message", bytes, from);
  });
  const mdns = multicastDns({ socket: front as unknown as Socket, bind: false, multicast: false });
  mdns.on("packet", (wire: WirePacket, from: RemoteInfo) => {
    try {
      const packet = fromWire(wire);
      if (packet) listener.packet(packet, { address: from.address, port: from.port });
    } catch (error) {
      listener.fault(asHubcastError(error));
    }
  });
  // What cannot be decoded is somebody else's fault and no news.
  mdns.on("warning", () => {});
  mdns.on("error", fault);
  return {
    via,
    send: (packet, to) => send(mdns, packet, to).catch(fault),
    rejoin: () => join(socket, via.address),
    close: () => new Promise((resolve) => mdns.destroy(resolve)),
  };
}

async function bindSocket(via: UsableInterface): Promise<Socket> {
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      // Bound to the group: unicast to the port goes to the socket bound last, and must not be taken from
      // another responder of this machine. Windows cannot bind to a group.
      const address = process.platform === "win32" ? "0.0.0.0" : DNSSD.group;
      socket.bind({ port: DNSSD.port, address }, () => {
        socket.off("error", reject);
        resolve();
      });
    });
    socket.setMulticastTTL(255);
    socket.setMulticastLoopback(true);
    socket.addMembership(DNSSD.group, via.address);
    socket.setMulticastInterface(via.address);
    return socket;
  } catch (error) {
    socket.close();
    throw asLinkError(error as NodeJS.ErrnoException, via);
  }
}

function asLinkError(error: NodeJS.ErrnoException, via: UsableInterface): HubcastError {
  const where = `${via.name} (${via.address})`;
  if (error.code === "EADDRINUSE") {
    return new HubcastError(
      "portInUse",
      `another program holds UDP port ${DNSSD.port} for itself on ${where}`,
      {
        suggestions: ["Stop that program, or reach peers with --peer ADDRESS instead."],
        cause: error,
      },
    );
  }
  return new HubcastError("cannotListen", `no multicast DNS on ${where}: ${error.message}`, {
    suggestions: ["Choose interfaces with --mdns-interface, or reach peers with --peer ADDRESS."],
    cause: error,
  });
}

function join(socket: Socket, address: string): void {
  try {
    socket.addMembership(DNSSD.group, address);
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

/** What multicast-dns sees of the socket: only packets that passed our checks. */
class Front extends EventEmitter {
  constructor(private readonly socket: Socket) {
    super();
  }

  send(...args: Parameters<Socket["send"]>): void {
    this.socket.send(...args);
  }

  close(done?: () => void): void {
    this.socket.close(done);
  }
}
