import { generateKeyPairFromSeed } from "@libp2p/crypto/keys";
import type {
  Connection,
  ConnectionEncrypter,
  Libp2p,
  MessageStream,
  MessageStreamEvents,
  MultiaddrConnection,
  PeerId,
  Stream,
  Transport,
  Upgrader,
} from "@libp2p/interface";
import { noise } from "@libp2p/noise";
import { preSharedKey } from "@libp2p/pnet";
import { tcp } from "@libp2p/tcp";
import type { AbstractMultiaddrConnection } from "@libp2p/utils";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";
import { HubcastError } from "../../../core/errors.js";
import { LIMITS } from "../../../core/limits.js";
import { turnsOf } from "../../../runtime/turns.js";
import { Identity } from "../identity.js";
import {
  type ClusterOptions,
  type Dial,
  type LinkEngine,
  type LinkListener,
  Mailbox,
  peerConnectionsMax,
} from "../port.js";
import { type ListenOptions, listenAddresses, type PeerAddress, parsePeerAddress } from "./address.js";
import { DialFault, dialFirst, NO_HANDSHAKE } from "./dial.js";
import { DeliveryTurns, FrameStream } from "./frame-stream.js";
import { LINK_PROTOCOL, linkMuxer } from "./muxer.js";

export interface Libp2pClusterOptions extends ClusterOptions {
  readonly listen?: ListenOptions;
  /** 32 bytes, the seed of this node's Ed25519 key; without it every start has a new identity. */
  readonly privateKey?: Uint8Array;
  /** 32 bytes that all nodes of the cluster share; nobody else gets as far as a handshake. */
  readonly clusterKey?: Uint8Array;
  /** Ids of the peers that may connect; without it any may that the listener admits. */
  readonly allowPeers?: ReadonlySet<string>;
}

/** How long the TCP connect of one address may take, so that of peerHandshakeMsMax some is left for its handshake. */
const CONNECT_MS_MAX = 5_000;
/**
 * How long one that was accepted may take for each of its steps. The dialling side may have more patience where it is
 * late itself.
 */
const ACCEPT_MS_MAX = 20_000;
/** Each dial has a timeout of its own, which is shorter. */
const DIAL_MS_MAX = 120_000;
/** Bytes until both sides have proven who they are: 300 come from an honest one. */
const OPENING_BYTES_MAX = 2_048;
/** How long peers may take to read what was sent before a link ends. */
const FLUSH_MS_MAX = 500;
/** Of the connections of peers, this part may be in the handshake, which takes 5 ms of processor. */
const PENDING_PART = 1 / 2;
/** Connections that come at the same moment: so many are taken in one turn of the event loop, 0.2 ms each... */
const ACCEPTED_PER_TURN = 8;
/** ... and handshakes begin one in so many turns: a request takes several. */
const TURNS_PER_HANDSHAKE = 3;
/** New connections a second from one address: hundreds of nodes may share one. libp2p's default is 5. */
const CONNECTIONS_PER_SECOND_MAX = 150;

/**
 * Starts the embedded engine: libp2p over TCP, encrypted with noise, one connection for each link. Peers are found
 * elsewhere and handed to `dial`.
 * @throws portInUse, cannotListen, invalidOption; nothing is left open then
 */
export async function openLibp2pCluster(options: Libp2pClusterOptions): Promise<LinkEngine> {
  checkKey("privateKey", options.privateKey);
  checkKey("clusterKey", options.clusterKey);
  const identity = new Identity(options.privateKey);
  let engine: Libp2pEngine | undefined;
  const libp2p = await createHost(options, identity, (peer) => engine?.admits(peer) ?? false);
  try {
    await libp2p.start();
    const opened = new Libp2pEngine(identity, libp2p, options);
    await opened.accept();
    engine = opened;
  } catch (cause) {
    await libp2p.stop();
    throw new HubcastError("cannotListen", `cannot listen for peers: ${(cause as Error).message}`, { cause });
  }
  return engine;
}

async function createHost(
  { listen = {}, clusterKey }: Libp2pClusterOptions,
  { seed }: Identity,
  admits: (peer: string) => boolean,
): Promise<Libp2p> {
  const denies = (peer: PeerId) => !admits(peer.toString());
  const connectionsMax = peerConnectionsMax();
  const pendingMax = Math.ceil(connectionsMax * PENDING_PART);
  return await createLibp2p({
    start: false,
    privateKey: await generateKeyPairFromSeed("Ed25519", seed),
    ...(clusterKey && { connectionProtector: preSharedKey({ psk: swarmKey(clusterKey) }) }),
    addresses: { listen: [...(await listenAddresses(listen))] },
    // An idle link is the machine's to end: it has heartbeats.
    transports: [adapted(tcp({ inboundSocketInactivityTimeout: 0, outboundSocketInactivityTimeout: 0 }))],
    connectionEncrypters: [oneAtATime(noise())],
    streamMuxers: [linkMuxer],
    connectionGater: {
      denyInboundEncryptedConnection: denies,
      denyOutboundEncryptedConnection: denies,
    },
    connectionManager: {
      maxConnections: connectionsMax,
      maxIncomingPendingConnections: pendingMax,
      inboundConnectionThreshold: CONNECTIONS_PER_SECOND_MAX,
      maxParallelDials: pendingMax,
      maxDialQueueLength: LIMITS.peerConnectionsMax,
      addressDialTimeout: DIAL_MS_MAX,
      inboundUpgradeTimeout: ACCEPT_MS_MAX,
      inboundStreamProtocolNegotiationTimeout: ACCEPT_MS_MAX,
      reconnectRetries: 0,
    },
    connectionMonitor: { enabled: false },
  });
}

/**
 * That encrypter, with inbound handshakes one after the other: 32 bytes from anyone begin one, which costs 5 ms, and
 * hundreds may begin at the same moment (bench/abuse.ts handshakes).
 */
function oneAtATime<Components>(make: (components: Components) => ConnectionEncrypter) {
  const turn = turnsOf(1, TURNS_PER_HANDSHAKE - 1);
  return (components: Components): ConnectionEncrypter => {
    const encrypter = make(components);
    const secureInbound = encrypter.secureInbound.bind(encrypter);
    encrypter.secureInbound = async (stream, options) => {
      await firstBytes(stream, options?.signal);
      await turn();
      return await secureInbound(stream, options);
    };
    return encrypter;
  };
}

/** Resolves when a stream has something to read, or never will. */
function firstBytes(stream: MessageStream, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const over = new AbortController();
  const end = () => {
    over.abort();
    stream.removeEventListener("message", read);
    resolve();
  };
  const read = ({ data }: MessageStreamEvents["message"]) => {
    end();
    // Without a listener it stays in the stream.
    stream.unshift(data);
  };
  stream.addEventListener("message", read);
  for (const type of ["remoteCloseWrite", "end", "close"] as const)
    stream.addEventListener(type, end, { signal: over.signal });
  signal?.addEventListener("abort", end, { signal: over.signal });
  return promise;
}

/**
 * That transport, with connections accepted some in each turn, written to in few pieces and bounded in what they may
 * cost, and listeners whose beginning and end are no events. On each such event libp2p sets a timer of one second, to write
 * this node's addresses for its protocol `identify`, which is not used here; the timer holds up the end of a process.
 */
function adapted<Components>(make: (components: Components) => Transport) {
  const turn = turnsOf(ACCEPTED_PER_TURN, 0);
  /** Inherits all that the upgrader does besides. */
  const upgraderOf = (upgrader: Upgrader): Upgrader =>
    Object.assign(Object.create(upgrader), {
      upgradeInbound: (connection, options) =>
        bounded(connection, async (bound) => {
          await turn();
          await upgrader.upgradeInbound(bound, options);
        }),
      upgradeOutbound: (connection, options) =>
        bounded(connection, (bound) => upgrader.upgradeOutbound(bound, options)),
    } satisfies Partial<Upgrader>);
  return (components: Components): Transport => {
    const transport = make(components);
    const dial = transport.dial.bind(transport);
    transport.dial = (address, options) =>
      dial(address, { ...options, upgrader: upgraderOf(options.upgrader) });
    const createListener = transport.createListener.bind(transport);
    transport.createListener = (options) => {
      const listener = createListener({ ...options, upgrader: upgraderOf(options.upgrader) });
      // Before those of libp2p are added.
      for (const type of ["listening", "close"] as const)
        listener.addEventListener(type, (event) => event.stopImmediatePropagation());
      return listener;
    };
    return transport;
  };
}

/**
 * Opens a connection, within bounds that libp2p does not set. It answers each line in front of the handshake, 20 us each and
 * thousands in one read; and a socket that was closed by its peer stays for as long as the peer does not read what was
 * written before. Each `send` is one write: noise sends the length of a message as a piece of its own.
 */
async function bounded<Opened>(
  given: MultiaddrConnection,
  open: (connection: MultiaddrConnection) => Promise<Opened>,
): Promise<Opened> {
  const connection = given as AbstractMultiaddrConnection;
  const send = connection.send.bind(connection);
  connection.send = (data) => send(data.subarray());
  connection.addEventListener("close", () => {
    setTimeout(() => connection.sendReset(new Error("it was closed")), FLUSH_MS_MAX).unref();
  });
  const { onData } = connection;
  let bytes = 0;
  connection.onData = (data) => {
    bytes += data.byteLength;
    if (bytes > OPENING_BYTES_MAX) connection.abort(new Error("its opening is too long"));
    else onData.call(connection, data);
  };
  try {
    return await open(connection);
  } finally {
    connection.onData = onData;
  }
}

interface OpenLink {
  readonly connection: Connection;
  readonly frames: FrameStream;
}

class Libp2pEngine extends Identity implements LinkEngine {
  readonly engine = "libp2p";
  readonly addresses: readonly string[];
  readonly port: number;
  readonly #libp2p: Libp2p;
  readonly #listener: LinkListener;
  readonly #allowPeers: ReadonlySet<string> | undefined;
  readonly #mailbox = new Mailbox();
  readonly #turns = new DeliveryTurns((call) => this.#mailbox.post(call));
  readonly #links = new Map<number, OpenLink>();
  #lastLink = 0;
  /** Accepted, and the peer has not opened the frame stream yet. */
  readonly #awaited = new Map<Connection, NodeJS.Timeout>();
  /** Dialled connections that an attempt has taken. libp2p gives one connection to all who dial an address at once. */
  readonly #dialled = new WeakSet<Connection>();
  /** Links that are being flushed. */
  readonly #endings = new Set<Promise<void>>();
  readonly #over = new AbortController();
  #closing: Promise<void> | undefined;

  constructor(identity: Identity, libp2p: Libp2p, { listener, allowPeers }: Libp2pClusterOptions) {
    super(identity.seed);
    this.#libp2p = libp2p;
    this.addresses = libp2p.getMultiaddrs().map(String);
    this.port = Number(/\/tcp\/(\d+)/.exec(this.addresses[0] ?? "")?.[1]);
    this.#listener = listener;
    this.#allowPeers = allowPeers;
  }

  async accept(): Promise<void> {
    this.#libp2p.addEventListener("connection:open", ({ detail }) => this.#connected(detail));
    // It remembers every id that ever proved itself.
    this.#libp2p.addEventListener("peer:disconnect", ({ detail }) => {
      this.#libp2p.peerStore.delete(detail).catch(() => {});
    });
    await this.#libp2p.handle(LINK_PROTOCOL, (stream, connection) => this.#accepted(stream, connection));
  }

  admits(peer: string): boolean {
    return !this.#closing && (this.#allowPeers?.has(peer) ?? true) && this.#listener.admits(peer);
  }

  dial(dial: Dial): void {
    const { attempt } = dial;
    if (this.#closing) return;
    this.#dial(dial).catch((error) => {
      const { message, isSelf } = error as DialFault;
      this.#tell((listener) => listener.dialFailed(attempt, message, isSelf === true));
    });
  }

  send(link: number, frame: Uint8Array): void {
    this.#links.get(link)?.frames.send(frame);
  }

  holdUp(link: number, isHeldUp: boolean): void {
    this.#links.get(link)?.frames.holdUp(isHeldUp);
  }

  disconnect(link: number, reason: string): void {
    const ended = this.#links.get(link);
    if (!ended) return;
    this.#links.delete(link);
    this.#tell((listener) => listener.linkDown(link, reason));
    const ending = hangUp(ended, reason).finally(() => this.#endings.delete(ending));
    this.#endings.add(ending);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#over.abort(new Error("this node is closing"));
    for (const link of [...this.#links.keys()]) this.disconnect(link, "this node is closing");
    await Promise.all(this.#endings);
    for (const timer of this.#awaited.values()) clearTimeout(timer);
    await this.#libp2p.stop();
  }

  #tell(call: (listener: LinkListener) => void): void {
    this.#mailbox.post(() => call(this.#listener));
  }

  async #dial({
    attempt,
    addresses: texts,
    peer,
    timeoutMs = LIMITS.peerHandshakeMsMax,
  }: Dial): Promise<void> {
    const addresses = texts.map(readAddress).filter((address) => address !== undefined);
    const expected = peer ?? addresses.find(({ id }) => id !== undefined)?.id;
    if (expected === this.id) throw new DialFault("the id is this node's own", true);
    if (addresses.length === 0) throw new DialFault("there is no address that can be read");
    // Of AbortSignal.timeout below two of AbortSignal.any Node keeps 1 KB for good.
    const deadline = new AbortController();
    const expired = () => deadline.abort(new DOMException("the dial took too long", "TimeoutError"));
    const timer = setTimeout(expired, timeoutMs);
    try {
      const { connection, stream } = await dialFirst({
        addresses,
        signal: AbortSignal.any([this.#over.signal, deadline.signal]),
        connect: (address, over) => this.#connect(address, expected, over),
        discard: (late) => late.connection.abort(new Error("another address was faster")),
      });
      this.#up(connection, stream, attempt);
    } finally {
      clearTimeout(timer);
    }
  }

  async #connect(address: string, peer: string | undefined, signal: AbortSignal) {
    const connecting = new AbortController();
    const late = setTimeout(() => connecting.abort(), CONNECT_MS_MAX);
    let answers = false;
    let connection: Connection;
    try {
      connection = await this.#libp2p.dial(multiaddr(address), {
        force: true,
        signal: AbortSignal.any([signal, connecting.signal]),
        onProgress: ({ type }) => {
          if (type !== "upgrader:encrypt-outbound-connection") return;
          clearTimeout(late);
          answers = true;
        },
      });
    } catch (error) {
      if ((error as Error).name === "InvalidPeerIdError") {
        throw new DialFault("is an address of this node", true);
      }
      if (signal.aborted && answers) throw new DialFault(NO_HANDSHAKE);
      throw error;
    } finally {
      clearTimeout(late);
    }
    if (this.#dialled.has(connection)) throw new DialFault("is being dialled already");
    this.#dialled.add(connection);
    try {
      const id = connection.remotePeer.toString();
      if (peer !== undefined && id !== peer) throw new DialFault(`is another node: ${id}`);
      return { connection, stream: await connection.newStream(LINK_PROTOCOL, { signal }) };
    } catch (error) {
      connection.abort(error as Error);
      throw error;
    }
  }

  #connected(connection: Connection): void {
    if (connection.direction === "outbound") return;
    const giveUp = () => connection.abort(new Error("the peer opened no frame stream"));
    this.#awaited.set(connection, setTimeout(giveUp, ACCEPT_MS_MAX));
    connection.addEventListener("close", () => this.#endAwait(connection), { once: true });
    if (connection.status !== "open") this.#endAwait(connection);
  }

  #accepted(stream: Stream, connection: Connection): void {
    if (this.#endAwait(connection)) this.#up(connection, stream, undefined);
  }

  #endAwait(connection: Connection): boolean {
    clearTimeout(this.#awaited.get(connection));
    return this.#awaited.delete(connection);
  }

  #up(connection: Connection, stream: Stream, attempt: number | undefined): void {
    if (this.#closing) {
      connection.abort(new Error("this node is closing"));
      return;
    }
    const link = ++this.#lastLink;
    const peer = connection.remotePeer.toString();
    const address = connection.remoteAddr.toString();
    this.#tell((listener) =>
      listener.linkUp({ link, peer, address, ...(attempt !== undefined && { attempt }) }),
    );
    const frames = new FrameStream(stream, this.#turns, {
      frame: (frame) => this.#listener.frame(link, frame),
      queued: (isLong) => this.#listener.queued(link, isLong),
      progressed: () => this.#listener.progressed(link),
      ended: (reason) => {
        if (!this.#links.delete(link)) return;
        connection.abort(new Error(reason));
        this.#listener.linkDown(link, reason);
      },
    });
    this.#links.set(link, { connection, frames });
  }
}

/**
 * Says behind what was sent that no more will come, and waits until the other side hangs up: then it has read all. Closed
 * rather than aborted where both hang up at once: an abort throws away what the system has not sent yet.
 */
async function hangUp({ connection, frames }: OpenLink, reason: string): Promise<void> {
  const signal = AbortSignal.timeout(FLUSH_MS_MAX);
  const { promise: late, resolve } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => resolve());
  await Promise.race([frames.finish().then(() => connection.close({ signal })), late]).catch(() => {});
  connection.abort(new Error(reason));
}

function readAddress(text: string): PeerAddress | undefined {
  try {
    return parsePeerAddress(text);
  } catch {
    return undefined;
  }
}

/** The key in the file format that pnet reads. */
function swarmKey(key: Uint8Array): Uint8Array {
  return Buffer.from(`/key/swarm/psk/1.0.0/\n/base16/\n${Buffer.from(key).toString("hex")}`);
}

function checkKey(name: string, key: Uint8Array | undefined): void {
  if (key === undefined || key.length === 32) return;
  throw new HubcastError("invalidOption", `${name} has ${key.length} bytes, it must have 32`);
}
