import { generateKeyPairFromSeed } from "@libp2p/crypto/keys";
import type { GossipSubComponents } from "@libp2p/gossipsub";
import { identify } from "@libp2p/identify";
import type { Connection, Libp2p, PeerId, Transport, Upgrader } from "@libp2p/interface";
import { preSharedKey } from "@libp2p/pnet";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";
import { HubcastError } from "../../../core/errors.js";
import { LIMITS } from "../../../core/limits.js";
import { encryption } from "./encryption.js";
import type { Gossip } from "./gossip.js";

export interface HostOptions {
  readonly listen: readonly string[];
  readonly gossip: Gossip;
  readonly peersMax: number;
  /** 32 bytes, the seed of an Ed25519 key; absent: a new identity. */
  readonly privateKey?: Uint8Array;
  /** 32 bytes that all nodes of the cluster share; absent: any node may connect. */
  readonly clusterKey?: Uint8Array;
  /** Whether that peer may connect, asked once it has proven who it is. */
  readonly admits: (peerId: string) => boolean;
}

/** A started libp2p, and the one way it is used to reach others. */
export interface Host {
  readonly libp2p: Libp2p;
  readonly id: string;
  readonly addresses: readonly string[];
  /**
   * Connects to one address. `ready` is awaited between the TCP connection and the encryption on it.
   * @param address multiaddr without a peer id
   */
  connect(address: string, signal: AbortSignal, ready: () => Promise<void>): Promise<Connection>;
}

/** Sockets in the handshake: enough for a whole cluster that starts at once, and no more than a table. */
const PENDING_CONNECTIONS_MAX = 512;
/** New connections a second from one address; twenty nodes on one machine that find each other need 40. */
const CONNECTIONS_PER_SECOND_MAX = 150;

/** libp2p hands these to `net` as they are. By default each record of 64 KiB would wait for a drain event. */
const SOCKET_OPTIONS = { noDelay: true, highWaterMark: 1_048_576 };

/** Starts libp2p: TCP, noise, yamux, GossipSub. */
export async function startHost(options: HostOptions): Promise<Host> {
  let transport!: Transport;
  let components!: { readonly upgrader: Upgrader };
  const { clusterKey, privateKey, peersMax } = options;
  // Twice the peers, since two nodes may dial each other at once, and room for newcomers that will be refused.
  const connectionsMax = 2 * peersMax + 16;
  const denies = (peer: PeerId) => !options.admits(peer.toString());
  const libp2p = await createLibp2p({
    start: false,
    ...(privateKey && { privateKey: await generateKeyPairFromSeed("Ed25519", privateKey) }),
    ...(clusterKey && { connectionProtector: preSharedKey({ psk: swarmKey(clusterKey) }) }),
    addresses: { listen: [...options.listen] },
    transports: [
      (own) => {
        transport = tcp({
          maxConnections: connectionsMax + PENDING_CONNECTIONS_MAX,
          dialOpts: SOCKET_OPTIONS,
          listenOpts: SOCKET_OPTIONS,
        })(own);
        return transport;
      },
    ],
    connectionEncrypters: [encryption()],
    // No keep-alive: the replica's heartbeats find a dead peer sooner.
    streamMuxers: [yamux({ enableKeepAlive: false, maxInboundStreams: 16, maxOutboundStreams: 16 })],
    connectionGater: {
      denyInboundEncryptedConnection: denies,
      denyOutboundEncryptedConnection: denies,
    },
    connectionManager: {
      maxConnections: connectionsMax,
      maxIncomingPendingConnections: PENDING_CONNECTIONS_MAX,
      inboundConnectionThreshold: CONNECTIONS_PER_SECOND_MAX,
      inboundUpgradeTimeout: LIMITS.peerHandshakeMsMax,
      inboundStreamProtocolNegotiationTimeout: LIMITS.peerHandshakeMsMax,
      outboundStreamProtocolNegotiationTimeout: LIMITS.peerHandshakeMsMax,
      reconnectRetries: 0,
    },
    connectionMonitor: { enabled: false },
    services: {
      // Answers other libp2p tools; between our nodes the greeting says all there is to say.
      identify: identify({ runOnConnectionOpen: false }),
      gossip: (own: GossipSubComponents & { readonly upgrader: Upgrader }) => {
        components = own;
        return options.gossip.service(own);
      },
    },
  });
  try {
    await libp2p.start();
  } catch (cause) {
    await libp2p.stop();
    throw new HubcastError("cannotListen", `cannot listen for peers: ${(cause as Error).message}`, { cause });
  }
  return {
    libp2p,
    id: libp2p.peerId.toString(),
    addresses: libp2p.getMultiaddrs().map(String),
    connect: (address, signal, ready) =>
      transport.dial(multiaddr(address), { signal, upgrader: upgraderThatWaits(components.upgrader, ready) }),
  };
}

/** The upgrader, except that encryption begins when `ready` says so. */
function upgraderThatWaits(upgrader: Upgrader, ready: () => Promise<void>): Upgrader {
  const upgradeOutbound: Upgrader["upgradeOutbound"] = async (
    ...args: Parameters<Upgrader["upgradeOutbound"]>
  ) => {
    await ready();
    return upgrader.upgradeOutbound(...args);
  };
  return Object.assign(Object.create(upgrader) as Upgrader, { upgradeOutbound });
}

/** The key in the file format that pnet reads. */
function swarmKey(key: Uint8Array): Uint8Array {
  return Buffer.from(`/key/swarm/psk/1.0.0/\n/base16/\n${Buffer.from(key).toString("hex")}`);
}
