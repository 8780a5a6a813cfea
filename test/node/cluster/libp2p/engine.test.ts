import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { connect as connectTcp, createServer, type Server, type Socket } from "node:net";
import { queryObjects } from "node:v8";
import type { StreamMuxerFactory } from "@libp2p/interface";
import { noise } from "@libp2p/noise";
import { tcp } from "@libp2p/tcp";
import { multiaddrConnectionPair } from "@libp2p/utils";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";
import { afterEach, describe, expect, test } from "vitest";
import { type Libp2pClusterOptions, openLibp2pCluster } from "../../../../src/node/cluster/libp2p/index.js";
import { LINK_PROTOCOL, linkMuxer } from "../../../../src/node/cluster/libp2p/muxer.js";
import type { LinkEngine } from "../../../../src/node/cluster/port.js";
import { describeCluster } from "../contract.js";
import { Recorder, until } from "../recorder.js";

/** The lines by which a dialler asks for noise, before its handshake. */
const NEGOTIATION = "\x13/multistream/1.0.0\n\x07/noise\n";
const LOOPBACK = { hosts: ["127.0.0.1"] };
const privateKeys = new WeakMap<LinkEngine, Uint8Array>();

async function openEngine(options: Libp2pClusterOptions): Promise<LinkEngine> {
  const privateKey = options.privateKey ?? randomBytes(32);
  const cluster = await openLibp2pCluster({ listen: LOOPBACK, ...options, privateKey });
  privateKeys.set(cluster, privateKey);
  return cluster;
}

for (const [name, key] of [
  ["libp2p", {}],
  ["libp2p with a cluster key", { clusterKey: randomBytes(32) }],
] as const) {
  describeCluster(name, {
    open: (options) => openEngine({ ...options, ...key }),
    openTwin: (of, options) => openEngine({ ...options, ...key, privateKey: privateKeys.get(of)! }),
  });
}

describe("libp2p: dial", () => {
  test("says which attempt it was, on the side that dialled", async () => {
    const [left, right] = [await open(), await open()];
    const attempt = dial(left, right);
    await until("up", () => left.up.length === 1 && right.up.length === 1);
    expect(left.links[0]).toMatchObject({ attempt, address: right.cluster.addresses[0] });
    expect(right.links[0]).not.toHaveProperty("attempt");
    expect(right.links[0]!.address).toMatch(`/p2p/${left.cluster.id}`);
  });

  test("by both at once, or again, makes a link for each", async () => {
    const [left, right] = [await open(), await open()];
    dial(left, right);
    dial(right, left);
    await until("two", () => left.up.length === 2 && right.up.length === 2);
    dial(left, right);
    await until("three", () => left.up.length === 3 && right.up.length === 3);
    for (const { link } of left.up) left.cluster.send(link, Buffer.of(link));
    await until("each is a stream of its own", () => right.up.every(({ frames }) => frames.length === 1));
    left.cluster.disconnect(left.up[1]!.link, "one too many");
    await until("one less", () => right.up.length === 2);
    expect(left.up).toHaveLength(2);
  });

  test("of one address by two attempts at once is answered to both", async () => {
    const [left, right] = [await open(), await open()];
    dial(left, right);
    dial(left, right);
    await until("both", () => left.up.length + left.failures.length === 2);
    expect(left.up.length).toBeGreaterThanOrEqual(1);
  });

  test.each(["with", "without"])("reaches every form of an address, %s an expected peer", async (form) => {
    const node = await open({ listen: { hosts: ["127.0.0.1", "::1"] } });
    const { port } = node.cluster;
    for (const address of [
      `127.0.0.1:${port}`,
      `localhost:${port}`,
      `[::1]:${port}`,
      `/ip4/127.0.0.1/tcp/${port}`,
      `/dns4/localhost/tcp/${port}`,
      `/ip6/::1/tcp/${port}/p2p/${node.cluster.id}`,
    ]) {
      const other = await open();
      other.cluster.dial({
        attempt: 1,
        addresses: [address],
        ...(form === "with" && { peer: node.cluster.id }),
      });
      await until(`${address} is up`, () => other.up.length === 1);
      expect(other.up[0]!.peer).toBe(node.cluster.id);
    }
  });

  test("goes around silent and refusing addresses in front", async () => {
    const accepted: Socket[] = [];
    const silent = await listen((socket) => accepted.push(socket.resume()));
    const [node, other] = [await open(), await open()];
    const dead = [`127.0.0.1:${(silent.address() as { port: number }).port}`, "127.0.0.1:1"];
    other.cluster.dial({
      attempt: 1,
      addresses: [...dead, "no address", ...node.cluster.addresses, ...dead],
    });
    await until("up", () => other.up.length === 1);
    expect(other.failures).toEqual([]);
    await until("the silent ones are let go", () => accepted.every(({ destroyed }) => destroyed));
  });

  test("of nobody says why for each address", async () => {
    const node = await open();
    node.cluster.dial({ attempt: 7, addresses: ["127.0.0.1:1", "[::1]:1", "nobody.invalid:1"] });
    await until("answered", () => node.failures.length === 1);
    const [{ attempt, reason, self }] = node.failures as [{ attempt: number; reason: string; self: boolean }];
    expect([attempt, self]).toEqual([7, false]);
    expect(reason.split("; ").toSorted()).toEqual([
      "127.0.0.1:1 refuses connections",
      "[::1]:1 refuses connections",
      "nobody.invalid is no name that can be resolved",
    ]);
    node.cluster.dial({ attempt: 8, addresses: ["no address"] });
    await until("answered", () => node.failures.length === 2);
    expect(node.failures[1]!.reason).toContain("no address that can be read");
  });

  test("of another than is expected there says who it is", async () => {
    const [node, other] = [await open(), await open()];
    const peer = "12D3KooWBmwkafWE2fqfzS96VoTZgpGp6aJsF4N6eaSg8Zr8DbsL";
    node.cluster.dial({ attempt: 1, addresses: other.cluster.addresses.map(withoutId), peer });
    node.cluster.dial({ attempt: 2, addresses: [`${withoutId(other.cluster.addresses[0]!)}/p2p/${peer}`] });
    await until("answered", () => node.failures.length === 2);
    expect(node.failures[0]!.reason).toContain(`another node: ${other.cluster.id}`);
    expect([...node.links, ...other.links]).toEqual([]);
  });

  test("of itself is known, by the id or by who answers", async () => {
    const node = await open();
    node.cluster.dial({ attempt: 1, addresses: node.cluster.addresses });
    node.cluster.dial({ attempt: 2, addresses: node.cluster.addresses.map(withoutId) });
    await until("answered", () => node.failures.length === 2);
    expect(node.failures.map(({ self }) => self)).toEqual([true, true]);
    const other = await open();
    node.cluster.dial({
      attempt: 3,
      addresses: [`127.0.0.1:${node.cluster.port}`, `127.0.0.1:${other.cluster.port}`],
    });
    await until("the other is up", () => node.up.length === 1);
  });

  test("that fails leaves nothing behind", async () => {
    const node = await open();
    const fail = async (count: number) => {
      const before = node.failures.length;
      for (let index = 0; index < count; index++) {
        node.cluster.dial({ attempt: ++attempts, addresses: ["127.0.0.1:1"], timeoutMs: 200 });
        await until("answered", () => node.failures.length === before + index + 1);
      }
      return queryObjects(AbortSignal, { format: "count" });
    };
    const first = await fail(50);
    expect(await fail(200)).toBeLessThan(first + 100);
  });

  test("of many at once, from one address, meets all", async () => {
    const hub = await open();
    const others = await Promise.all(Array.from({ length: 30 }, () => open()));
    for (const other of others) dial(other, hub);
    await until("all are up", () => hub.up.length === others.length, 25_000);
    expect(others.flatMap(({ failures }) => failures)).toEqual([]);
  });
});

describe("libp2p: frames whose handling takes long", () => {
  const FRAMES = 200;

  async function openBusy() {
    const [left, right] = [await open(), await open()];
    dial(left, right);
    await until("up", () => left.up.length === 1 && right.up.length === 1);
    const [to, from] = [left.up[0]!, right.up[0]!];
    right.onFrame = ({ frames }, frame) => {
      frames.push(frame);
      const endMs = performance.now() + 1;
      while (performance.now() < endMs);
    };
    // They come in few pieces, or in one.
    for (let index = 0; index < FRAMES; index++) left.cluster.send(to.link, Buffer.of(index));
    return { left, to, from };
  }

  test("leave turns of the event loop to others", async () => {
    const { from } = await openBusy();
    let turns = 0;
    let isOver = false;
    const turn = () => {
      if (from.frames.length > 0) turns++;
      if (!isOver) setImmediate(turn);
    };
    turn();
    await until("all arrived", () => from.frames.length === FRAMES);
    isOver = true;
    expect(turns).toBeGreaterThan(FRAMES / 10);
  });

  test("take one turn in several, and little of it, on however many links, and in however many reads, they come", async () => {
    const FRAMES_EACH = 8;
    const peers = await Promise.all(Array.from({ length: 6 }, () => open()));
    const right = await open();
    for (const peer of peers) dial(peer, right);
    await until("up", () => right.up.length === peers.length && peers.every(({ up }) => up.length === 1));
    let count = 0;
    let countBefore = 0;
    let most = 0;
    let turns = 0;
    right.onFrame = () => {
      count++;
      // Longer than any turn has: one frame, and it is used up.
      const endMs = performance.now() + 20;
      while (performance.now() < endMs);
    };
    const turn = () => {
      most = Math.max(most, count - countBefore);
      countBefore = count;
      if (count > 0) turns++;
      if (count < FRAMES_EACH * peers.length) setImmediate(turn);
    };
    setImmediate(turn);
    // Larger than what one read brings.
    const frame = new Uint8Array(70_000);
    for (const { up, cluster } of peers)
      for (let index = 0; index < FRAMES_EACH; index++) cluster.send(up[0]!.link, frame);
    await until("all arrived", () => count === FRAMES_EACH * peers.length);
    // One in front of `turn`, and one behind it.
    expect(most).toBeLessThanOrEqual(2);
    expect(turns).toBeGreaterThan(3 * FRAMES_EACH * peers.length);
  });

  test("arrive before the end of their link is told, though the peer is gone long since", async () => {
    const { left, to, from } = await openBusy();
    left.cluster.disconnect(to.link, "enough");
    await until("down", () => from.reason !== undefined);
    expect(from.frames).toHaveLength(FRAMES);
  });
});

describe("libp2p: who may connect", () => {
  test("two nodes with the same cluster key meet; without it, or with another, they do not", async () => {
    const clusterKey = randomBytes(32);
    const inside = await open({ clusterKey });
    const friend = await open({ clusterKey });
    const strangers = [await open({ clusterKey: randomBytes(32) }), await open()];
    for (const stranger of strangers) dial(stranger, inside);
    dial(inside, strangers[0]!);
    dial(friend, inside);
    await until("the friend is in", () => inside.up.length === 1);
    await until("the others are not", () => strangers.every(({ failures }) => failures.length === 1), 15_000);
    await until("nor the other way", () => inside.failures.length === 1, 15_000);
    expect(inside.links.map(({ peer }) => peer)).toEqual([friend.cluster.id]);
    expect(strangers.flatMap(({ links }) => links)).toEqual([]);
    for (const { reason } of [...strangers.flatMap(({ failures }) => failures), ...inside.failures]) {
      expect(reason).toContain("cluster key");
    }
  });

  test("only the peers that are allowed and admitted get in", async () => {
    const [friend, stranger, refused] = [await open(), await open(), await open()];
    const inside = await open({ allowPeers: new Set([friend.cluster.id, refused.cluster.id]) });
    inside.admits = (peer) => peer !== refused.cluster.id;
    dial(stranger, inside);
    dial(inside, stranger);
    dial(refused, inside);
    dial(friend, inside);
    await until("the friend is in", () => inside.up.length === 1);
    await until("the others are answered", () =>
      [stranger, refused, inside].every(({ failures }) => failures.length === 1),
    );
    expect(inside.failures[0]!.reason).toContain("does not admit");
    expect(inside.links).toHaveLength(1);
    expect([...stranger.links, ...refused.links]).toEqual([]);
  });

  test("keys must have 32 bytes", async () => {
    for (const key of ["privateKey", "clusterKey"]) {
      const opening = openLibp2pCluster({ ...options(), [key]: randomBytes(31) });
      await expect(opening).rejects.toMatchObject({ code: "invalidOption" });
    }
  });
});

describe("libp2p: listening", () => {
  test("a port that is taken is named", async () => {
    const server = await listen(() => {});
    const { port } = server.address() as { port: number };
    await expect(
      openLibp2pCluster({ ...options(), listen: { hosts: ["127.0.0.1"], port } }),
    ).rejects.toMatchObject({ code: "portInUse", message: expect.stringContaining(String(port)) });
  });

  test("an address of another machine is refused", async () => {
    await expect(openLibp2pCluster({ ...options(), listen: { hosts: ["192.0.2.1"] } })).rejects.toMatchObject(
      { code: "cannotListen" },
    );
  });

  test("IPv4 and IPv6 share one port", async () => {
    const node = await open({ listen: { hosts: ["127.0.0.1", "::1"] } });
    const ports = node.cluster.addresses.map((address) => Number(address.split("/")[4]));
    expect(ports).toEqual([node.cluster.port, node.cluster.port]);
  });
});

describe("libp2p: strangers on the port", () => {
  test("who sends garbage or nothing, or opens no frame stream, is cut off, and does no harm", async () => {
    const node = await open();
    const garbage = [
      randomBytes(100_000),
      Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
      Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]),
      Buffer.from("\x13/multistream/1.0.0\n\x07/noise\n"),
      Buffer.alloc(0),
    ];
    const sockets = garbage.map((bytes) => {
      const socket = connectTcp(node.cluster.port!, "127.0.0.1").on("error", () => {});
      socket.resume().write(bytes);
      return socket;
    });
    await using rogue = await openRogue();
    const idle = await rogue.libp2p.dial(multiaddr(node.cluster.addresses[0]!));
    const friend = await open();
    dial(friend, node);
    // Nor is a dial to one that says nothing left open.
    const silent = await listen((socket) => socket.resume());
    const { port } = silent.address() as { port: number };
    friend.cluster.dial({ attempt: 1, addresses: [`127.0.0.1:${port}`] });
    await until("a friend gets in meanwhile", () => node.up.length === 1);
    await until("the others are cut off", () => sockets.every(({ destroyed }) => destroyed), 30_000);
    await until("the idle one, too", () => idle.status !== "open", 30_000);
    await until("the silent one is given up", () => friend.failures.length === 1, 15_000);
    expect(friend.failures[0]!.reason).toMatch(`127.0.0.1:${port} completes no handshake`);
    expect(node.links).toHaveLength(1);
  });

  test.each([
    ["", 0],
    [", also when they connected long before", 1],
  ])(
    "who begin handshakes at the same moment have them one in several turns of the event loop%s",
    async (_, when) => {
      const node = await open();
      const { host, port } = new URL(
        withoutId(node.cluster.addresses[0]!).replace(/.*\/ip4\/(.*)\/tcp\//, "http://$1:"),
      );
      const negotiation = NEGOTIATION;
      const begin = Buffer.concat([Buffer.of(0, 32), randomBytes(32)]);
      const answeredAt: number[] = [];
      let turn = 0;
      let negotiated = 0;
      const sockets = Array.from({ length: 20 }, () => {
        const socket = connectTcp(Number(port), host.split(":")[0]!);
        let bytes = 0;
        socket.write(when === 0 ? Buffer.concat([Buffer.from(negotiation), begin]) : negotiation);
        socket.on("data", (chunk) => {
          bytes += chunk.length;
          if (bytes === negotiation.length) negotiated++;
          if (bytes < negotiation.length + 32 || answeredAt.length === 20) return;
          answeredAt.push(turn);
          socket.destroy();
        });
        return socket;
      });
      if (when === 1) {
        await until("negotiated", () => negotiated === 20);
        for (const socket of sockets) socket.write(begin);
      }
      for (; answeredAt.length < 20 && turn < 100_000; turn++) await new Promise(setImmediate);
      // Two answers may be read in the same turn.
      expect(answeredAt.at(-1)! - answeredAt[0]!).toBeGreaterThan(2 * 18);
    },
  );

  test.each([
    ["lines that name protocols", "\x13/multistream/1.0.0\n", "\x02a\n"],
    ["bytes behind the first message of a handshake", `${NEGOTIATION}\0\x20${"x".repeat(32)}`, "x"],
  ])("who sends %s without end is cut off, and not read to the end", async (_, first, unit) => {
    const node = await open();
    const socket = connectTcp(node.cluster.port!, "127.0.0.1").on("error", () => {});
    socket.resume().write(first);
    const chunk = Buffer.from(unit.repeat(65_536));
    const write = () => {
      while (!socket.destroyed && socket.write(chunk));
    };
    socket.on("drain", write);
    write();
    // 16 MB of lines would take a minute.
    await until("it is cut off", () => socket.destroyed, 5_000);
    expect(socket.bytesWritten).toBeLessThan(16_000_000);
  });

  test("a member that closes and does not read what was sent leaves no socket behind, nor holds up the end", async () => {
    const [node, other] = [await open(), await open()];
    const sockets: Socket[] = [];
    const note = (message: unknown) => void sockets.push((message as { socket: Socket }).socket);
    const clients: Socket[] = [];
    const noteClient = (message: unknown) => void clients.push((message as { socket: Socket }).socket);
    subscribe("net.server.socket", note);
    subscribe("net.client.socket", noteClient);
    try {
      dial(other, node);
      await until("up", () => node.up.length === 1 && other.up.length === 1);
      clients[0]!.pause();
      for (let count = 0; count < 16; count++) node.cluster.send(node.up[0]!.link, Buffer.alloc(1_000_000));
      clients[0]!.end();
      await until("down", () => node.up.length === 0);
      await until(
        "it is let go",
        () => sockets.length > 0 && sockets.every(({ destroyed }) => destroyed),
        5_000,
      );
    } finally {
      unsubscribe("net.server.socket", note);
      unsubscribe("net.client.socket", noteClient);
    }
    await node.cluster.close();
  });

  test("who sends anything else in place of the opening byte is cut off", async () => {
    const node = await open();
    await using rogue = await openRogue(() => ({
      protocol: LINK_PROTOCOL,
      createStreamMuxer: (connection) => {
        connection.send(Buffer.from("GET / HTTP/1.1"));
        return linkMuxer().createStreamMuxer(connection);
      },
    }));
    const connection = await rogue.libp2p.dial(multiaddr(node.cluster.addresses[0]!));
    await until("cut off", () => connection.status !== "open");
    expect(node.links).toEqual([]);
  });

  test("a stream that is asked for when its dial is over already is not waited for", async () => {
    const [outbound] = multiaddrConnectionPair();
    const muxer = linkMuxer().createStreamMuxer(outbound);
    const signal = AbortSignal.abort(new Error("over"));
    await expect(muxer.createStream({ protocol: LINK_PROTOCOL, signal })).rejects.toThrow("over");
  });

  test("who sends a frame that is too large is cut off, and no other", async () => {
    const node = await open();
    await using rogue = await openRogue();
    const connection = await rogue.libp2p.dial(multiaddr(node.cluster.addresses[0]!));
    const stream = await connection.newStream(LINK_PROTOCOL);
    const friend = await open();
    dial(friend, node);
    await until("both are in", () => node.up.length === 2);
    stream.send(Buffer.from("\0\0\0\x02okGET / HTTP/1.1"));
    await until("the rogue is cut off", () => connection.status !== "open" && node.up.length === 1);
    expect(node.links[0]!.reason).toContain("peerFrameBytesMax");
    expect(node.links[0]!.frames.map(String)).toEqual(["ok"]);
    expect(node.to(friend)).toBeDefined();
  });
});

describe("libp2p: processes", () => {
  test("a node that is killed is down at once, and one that closes ends by itself", async () => {
    const node = await open();
    for (const way of ["kill", "close"] as const) {
      const child = spawn(
        process.execPath,
        ["--input-type=module", "-e", PROGRAM, node.cluster.addresses[0]!],
        { stdio: ["pipe", "inherit", "inherit"] },
      );
      const exited = once(child, "exit");
      await until("it is up", () => node.up.length === 1);
      if (way === "kill") child.kill("SIGKILL");
      else child.stdin.end();
      await until("it is down", () => node.up.length === 0);
      expect(await exited).toEqual(way === "kill" ? [null, "SIGKILL"] : [0, null]);
    }
    expect(node.links).toHaveLength(2);
  });
});

/** Dials, and closes when its standard input ends; nothing may keep it running then. */
const PROGRAM = `
  import { openLibp2pCluster } from "${new URL("../../../../build/src/node/cluster/libp2p/index.js", import.meta.url)}";
  const silent = { admits: () => true, linkUp() {}, dialFailed() {}, linkDown() {}, frame() {}, queued() {} };
  const cluster = await openLibp2pCluster({ cluster: "test", listen: { hosts: ["127.0.0.1"] }, listener: silent });
  cluster.dial({ attempt: 1, addresses: [process.argv[1]] });
  process.stdin.on("end", () => cluster.close()).resume();
`;

const opened: Recorder[] = [];
const servers: Server[] = [];
let attempts = 0;

afterEach(async () => {
  const nodes = opened.splice(0);
  await Promise.all(nodes.map(({ cluster }) => cluster.close()));
  for (const server of servers.splice(0)) server.close();
  expect(nodes.flatMap(({ faults }) => faults)).toEqual([]);
});

function options(listener = new Recorder()): Libp2pClusterOptions {
  return { cluster: "test", listen: LOOPBACK, listener };
}

async function open(more: Partial<Libp2pClusterOptions> = {}): Promise<Recorder> {
  const node = new Recorder();
  node.cluster = await openLibp2pCluster({ ...options(node), ...more });
  opened.push(node);
  return node;
}

function dial(from: Recorder, to: Recorder): number {
  from.cluster.dial({ attempt: ++attempts, addresses: to.cluster.addresses, peer: to.cluster.id });
  return attempts;
}

/** A libp2p without our engine. */
async function openRogue(muxer: () => StreamMuxerFactory = linkMuxer) {
  const libp2p = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [muxer],
    connectionMonitor: { enabled: false },
  });
  return { libp2p, [Symbol.asyncDispose]: async () => await libp2p.stop() };
}

async function listen(onSocket: (socket: Socket) => void): Promise<Server> {
  const server = createServer(onSocket);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  servers.push(server);
  return server;
}

function withoutId(address: string): string {
  return address.replace(/\/p2p\/.*$/, "");
}
