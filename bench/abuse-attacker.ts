// What bench/abuse.ts has running against its node, in a process of its own: ATTACK WHAT PORT PEER-ID PEER-ADDRESS.
import { hash } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { LIMITS } from "../dist/core/limits.js";
import { openLibp2pCluster } from "../dist/node/cluster/libp2p/index.js";
import { encodeBatch } from "../dist/node/protocol/batch.js";
import { decodeFrame, encodeFrame } from "../dist/node/protocol/frames.js";
import { withDigest } from "../dist/node/protocol/item.js";

const FLOOD_BYTES_PER_SECOND = 10_000_000;
const CLUSTER = "abuse";
const ATTACKS: Record<string, (what: string, port: string, id: string, address: string) => Promise<void>> = {
  connections: hold,
  subscribers: subscribe,
  flood,
  repeat,
};

const [attack = "", ...rest] = process.argv.slice(2);
await ATTACKS[attack]!(...(rest as [string, string, string, string]));

/** Keeps so many connections open on which nothing is sent. */
async function hold(count: string, port: string): Promise<void> {
  let open = 0;
  let opened = 0;
  let stopped = false;
  const add = () => {
    const socket = connect(Number(port), "127.0.0.1");
    socket.once("connect", () => {
      open++;
      opened++;
    });
    socket.on("error", () => {});
    socket.resume();
    socket.once("close", () => {
      open--;
      if (!stopped) setTimeout(add, 10);
    });
  };
  for (let n = 0; n < Number(count); n++) {
    add();
    if (n % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await report(() => ({ open, opened }));
  stopped = true;
}

/** Follows events so many times, and reads none. */
async function subscribe(count: string, port: string): Promise<void> {
  const sockets: Socket[] = [];
  let closed = 0;
  for (let n = 0; n < Number(count); n++) {
    const socket = connect(Number(port), "127.0.0.1");
    socket.on("error", () => {});
    socket.once("close", () => closed++);
    socket.pause();
    socket.write("GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    sockets.push(socket);
    if (n % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await report(() => ({ subscribed: sockets.length - closed }));
}

/** Gossips items that fail their signatures, whenever it is let in. */
async function flood(scheme: string, _port: string, id: string, address: string): Promise<void> {
  let sentBytes = 0;
  let messages = 0;
  const { cluster, reasons, isUp } = await join(id, address);
  const signature =
    scheme === "sha256" ? `sha256:${"0".repeat(64)}` : `ed25519:${"ab".repeat(32)}:${"0".repeat(128)}`;
  const batch = encodeBatch(
    Array.from({ length: 120 }, (_, n) =>
      withDigest({ id: `${n}`, raw: "x".repeat(400), signature, timestampMs: Date.now() }),
    ),
  );
  const beginMs = performance.now();
  setInterval(() => {
    const wanted = ((performance.now() - beginMs) / 1_000) * FLOOD_BYTES_PER_SECOND;
    for (; isUp() && sentBytes < wanted; sentBytes += batch.length) {
      // Another text each time, or it would be a message that was seen before.
      batch.write(String(++messages).padStart(10, "0"), batch.length - 20);
      cluster.publish(Uint8Array.from(batch));
    }
    if (!isUp()) sentBytes = wanted;
  }, 10);
  await report(() => ({
    messages,
    megabytes: Math.round(messages * batch.length) / 1e6,
    cutFor: [...reasons],
  }));
}

/** Gossips the same good items in ever another order, as fast as the node reads. */
async function repeat(_: string, _port: string, id: string, address: string): Promise<void> {
  let sentBytes = 0;
  const { cluster, reasons, isUp } = await join(id, address);
  const items = Array.from({ length: 120 }, (_, n) => {
    const raw = `${n}`.padEnd(400, ".");
    const signature = `sha256:${hash("sha256", raw)}`;
    return encodeBatch([withDigest({ id: `${n}`, raw, signature, timestampMs: Date.now() })]).subarray(1);
  });
  setInterval(() => {
    for (let n = 0; n < 100 && isUp() && (cluster.connections()[0]?.queuedBytes ?? 0) < 1_000_000; n++) {
      for (let place = items.length - 1; place > 0; place--) {
        const other = Math.floor(Math.random() * (place + 1));
        [items[place], items[other]] = [items[other]!, items[place]!];
      }
      const batch = Buffer.concat([Buffer.of(1), ...items]);
      sentBytes += batch.length;
      cluster.publish(batch);
    }
  }, 5);
  await report(() => ({ megabytes: Math.round(sentBytes / 1e6), cutFor: [...reasons] }));
}

/** Becomes a member, and comes back whenever it is cut off. */
async function join(id: string, address: string) {
  let up = false;
  const reasons = new Map<string, number>();
  const cluster = await openLibp2pCluster({
    cluster: CLUSTER,
    listen: { hosts: ["127.0.0.1"] },
    listener: {
      peerUp: ({ id }) => {
        up = true;
        const hello = {
          t: "hello",
          v: 1,
          name: "attacker",
          version: "0",
          cluster: CLUSTER,
          policy: "",
        } as const;
        const now = { nowMs: Date.now(), retentionMs: LIMITS.retentionMs, addresses: [], starting: false };
        cluster.send(id, encodeFrame({ ...hello, ...now }));
      },
      peerDown: (_, reason) => {
        up = false;
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      },
      // Who does not answer is cut off for that: it lives, and finds no difference.
      frame: (peer, bytes) => {
        const frame = decodeFrame(bytes);
        if (frame.t === "ping")
          cluster.send(peer, encodeFrame({ t: "pong", atMs: frame.atMs, nowMs: Date.now() }));
        if (frame.t === "reconcile")
          cluster.send(
            peer,
            encodeFrame({ t: "reconciled", round: frame.round, message: Uint8Array.of(0x61) }),
          );
      },
      gossip: (message) => message.settle("ignore"),
    },
  });
  cluster.dial({ id, addresses: [address] });
  return { cluster, reasons, isUp: () => up };
}

/** Says how it goes, until it is told to end. */
async function report(state: () => object): Promise<void> {
  process.send!(state());
  await once(process, "message");
  process.send!(state(), () => process.exit());
}
