// The attacker of bench/abuse.ts, in a process of its own: ATTACK WHAT PORT PEER-ID PEER-ADDRESS.
import { hash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { LIMITS } from "../build/src/core/limits.js";
import { Identity } from "../build/src/node/cluster/identity.js";
import { openLibp2pCluster } from "../build/src/node/cluster/libp2p/index.js";
import { encodeBatch, withDigest } from "../build/src/node/replica/item.js";
import { encodeRecord } from "../build/src/node/replica/member.js";
import {
  batchFrame,
  decodeFrame,
  encodeFrame,
  encodeQuestion,
  type Frame,
  PROTOCOL_VERSION,
  packDigests,
} from "../build/src/node/replica/wire.js";

const { HTTP_ATTACKS } = (await import(
  new URL("abuse-http.ts", import.meta.url).href
)) as typeof import("./abuse-http.js");

const FLOOD_BYTES_PER_SECOND = 10_000_000;
const CLUSTER = "abuse";
const ATTACKS: Record<string, (what: string, port: string, id: string, address: string) => Promise<void>> = {
  connections: hold,
  subscribers: subscribe,
  flood,
  repeat,
  http: sendHttp,
  slow,
  churn,
  frames,
  peers,
};

const NOTHING = {
  ...{ count: 0, fingerprint: "0".repeat(32), sinceMs: 0, settledMs: 0, settledFingerprint: "0".repeat(32) },
};

const SLOW_HEADS: Record<string, string> = {
  heads: "GET /v1/items HTTP/1.1\r\nHost: localhost\r\nA: ",
  bodies:
    "POST /v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
  bulk: "POST /v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100000\r\n\r\n",
};

const NEGOTIATION = "\x13/multistream/1.0.0\n\x07/noise\n";
/** Of the port for peers: what comes on each connection. The first message of a handshake has 32 bytes. */
const PEER_OPENINGS: Record<string, () => Buffer> = {
  silent: () => Buffer.alloc(0),
  nonsense: () => randomBytes(100),
  lines: () => Buffer.concat([Buffer.from("\x13/multistream/1.0.0\n"), Buffer.alloc(1_200_000, "\x02a\n")]),
  handshakes: () => Buffer.concat([Buffer.from(NEGOTIATION), Buffer.of(0, 32), randomBytes(32)]),
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

/** Sends HTTP that costs the server more than the attacker; a connection that is closed is opened again. */
async function sendHttp(name: string, port: string): Promise<void> {
  const {
    connections,
    head,
    unit,
    bytesMax = Number.POSITIVE_INFINITY,
    segments = false,
    unread = false,
  } = HTTP_ATTACKS[name]!;
  const units = Buffer.from(segments ? unit : unit.repeat(Math.ceil(65_536 / unit.length)));
  let sentBytes = 0;
  let opened = 0;
  let stopped = false;
  const open = () => {
    if (stopped) return;
    const socket = connect({ port: Number(port), host: "127.0.0.1", noDelay: true });
    let left = bytesMax;
    const write = () => {
      for (let n = 0; n < 1_000 && left > 0 && !socket.destroyed; n++) {
        left -= units.length;
        sentBytes += units.length;
        if (!socket.write(units)) break;
      }
      if (left <= 0) setTimeout(() => socket.destroy(), 100);
      else if (!socket.writableNeedDrain && !socket.destroyed) setImmediate(write);
    };
    socket.on("connect", () => {
      opened++;
      socket.write(head);
      write();
    });
    socket.on("drain", write);
    socket.on("error", () => {});
    if (!unread) socket.resume();
    socket.once("close", () => setTimeout(open, 10));
  };
  for (let n = 0; n < connections; n++) open();
  await report(() => ({ megabytes: Math.round(sentBytes / 1e6), opened }));
  stopped = true;
}

/** 2,000 connections that begin a request and send a byte of it a second, opened anew as the node closes them. */
async function slow(what: string, port: string): Promise<void> {
  let opened = 0;
  let stopped = false;
  const sockets = new Set<Socket>();
  const add = () => {
    if (stopped) return;
    const socket = connect(Number(port), "127.0.0.1");
    socket.once("connect", () => {
      opened++;
      sockets.add(socket);
      socket.write(SLOW_HEADS[what]!);
    });
    socket.on("error", () => {});
    socket.resume();
    socket.once("close", () => {
      sockets.delete(socket);
      setTimeout(add, 10);
    });
  };
  for (let n = 0; n < 2_000; n++) {
    add();
    if (n % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  setInterval(() => {
    for (const socket of sockets) socket.write("x");
  }, 1_000);
  await report(() => ({ open: sockets.size, opened }));
  stopped = true;
}

/** So many at a time connect, send that, wait for the answer, and leave. */
async function churn(what: string, port: string): Promise<void> {
  let opened = 0;
  let stopped = false;
  const add = () => {
    if (stopped) return;
    const socket = connect(Number(port), "127.0.0.1", () => socket.write(what));
    opened++;
    socket.on("error", () => {});
    socket.once("data", () => (opened % 2 === 0 ? socket.destroy() : socket.resetAndDestroy()));
    socket.once("close", () => setImmediate(add));
  };
  for (let n = 0; n < 200; n++) add();
  await report(() => ({ opened }));
  stopped = true;
}

/**
 * So many at a time connect to the port for peers, from many addresses, and leave when they were answered; the silent ones
 * stay until they are cut.
 */
async function peers(what: string, _port: string, _id: string, address: string): Promise<void> {
  const port = Number(/\/tcp\/(\d+)/.exec(address)![1]);
  let opened = 0;
  let answered = 0;
  let stopped = false;
  const add = () => {
    if (stopped) return;
    const localAddress = `127.1.${randomBytes(1)[0]}.${1 + (opened % 250)}`;
    const socket = connect({ port, host: "127.0.0.1", localAddress });
    let bytes = 0;
    socket.once("connect", () => {
      opened++;
      socket.write(PEER_OPENINGS[what]!());
    });
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      bytes += chunk.length;
      // Behind the answers of the negotiation.
      if (bytes < NEGOTIATION.length + 32) return;
      answered++;
      socket.destroy();
    });
    socket.once("close", () => setTimeout(add, 5));
  };
  for (let n = 0; n < (what === "silent" ? 2_000 : 200); n++) add();
  await report(() => ({ opened, answered }));
  stopped = true;
}

/** Gossips items that fail their signatures, whenever it is let in. */
async function flood(scheme: string, _port: string, id: string, address: string): Promise<void> {
  let sentBytes = 0;
  let messages = 0;
  const { send, reasons, isUp } = await join(id, address);
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
      send(batchFrame("items", batch));
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
  const { send, reasons, isUp, isRead } = await join(id, address);
  const items = Array.from({ length: 120 }, (_, n) => {
    const raw = `${n}`.padEnd(400, ".");
    const signature = `sha256:${hash("sha256", raw)}`;
    return encodeBatch([withDigest({ id: `${n}`, raw, signature, timestampMs: Date.now() })]).subarray(1);
  });
  setInterval(() => {
    for (let n = 0; n < 100 && isUp() && isRead(); n++) {
      for (let place = items.length - 1; place > 0; place--) {
        const other = Math.floor(Math.random() * (place + 1));
        [items[place], items[other]] = [items[other]!, items[place]!];
      }
      const batch = Buffer.concat([Buffer.of(1), ...items]);
      sentBytes += batch.length;
      send(batchFrame("items", batch));
    }
  }, 5);
  await report(() => ({ megabytes: Math.round(sentBytes / 1e6), cutFor: [...reasons] }));
}

/** Sends frames of one kind, each well-formed, as fast as the node reads; those that name others for 2 s, and leaves. */
async function frames(kind: string, _port: string, id: string, address: string): Promise<void> {
  let sent = 0;
  let firstAtMs = 0;
  const { send, reasons, isUp, isRead, cutAfterMs, leave, id: self } = await join(id, address);
  const digest = "7f".repeat(32);
  const many = ranges(kind === "longRanges" ? 20_000 : 6_800);
  const records = Array.from({ length: kind === "records" || kind === "members" ? 1_024 : 0 }, ghost);
  const some = <T>(list: readonly T[], count: number) =>
    Array.from({ length: count }, (_, n) => list[(sent * count + n) % list.length]!);
  const make: Record<string, () => Frame> = {
    ping: () => ({ t: "ping", atMs: Date.now(), roster: randomBytes(8).toString("hex") }),
    pong: () => ({ t: "pong", atMs: Date.now(), nowMs: Date.now() }),
    summary: () => ({
      t: "summary",
      ...NOTHING,
      count: sent,
      settledFingerprint: randomBytes(16).toString("hex"),
    }),
    have: () => ({ t: "have", digests: randomBytes(32 * LIMITS.digestsPerFrameMax) }),
    want: () => ({ t: "want", digests: randomBytes(32 * LIMITS.digestsPerFrameMax) }),
    roundDone: () => ({ t: "roundDone", round: 1 }),
    announce: () => ({ t: "announce", ids: randomBytes(16 * LIMITS.announcedMax) }),
    graft: () => ({ t: "graft", id: randomBytes(16) }),
    gone: () => ({ t: "gone", id: randomBytes(16) }),
    prune: () => ({ t: "prune" }),
    roster: () => ({ t: "roster", members: randomBytes(14 * LIMITS.rosterMembersMax), part: false }),
    news: () => ({ t: "roster", members: randomBytes(14 * LIMITS.rosterMembersMax), part: true }),
    refer: () => ({
      ...{ t: "refer", release: false },
      peers: Array.from({ length: LIMITS.referredMax }, () => ({
        id: randomBytes(16).toString("hex"),
        addresses: Array.from({ length: 8 }, nobodysAddress),
      })),
    }),
    records: () => ({
      t: "records",
      records: some(records, LIMITS.recordsPerFrameMax),
      lost: new Uint8Array(),
      want: randomBytes(8 * LIMITS.rosterMembersMax),
    }),
    members: () => ({
      ...{ t: "records", lost: new Uint8Array(), want: new Uint8Array() },
      records: some(records, 127).concat(ghost()),
    }),
    question: () =>
      batchFrame(
        "question",
        encodeQuestion({
          t: "held",
          asker: self,
          number: sent,
          digests: packDigests(Array(1_024).fill(digest)),
        }),
      ),
    count: () =>
      batchFrame(
        "question",
        encodeQuestion({ t: "count", asker: self, number: sent, sinceMs: 0, untilMs: Date.now() }),
      ),
    answers: () => ({
      ...{ t: "answers", question: randomBytes(16), counts: randomBytes(28 * LIMITS.rosterMembersMax) },
      ...{ held: randomBytes(10 * 32_768), refused: randomBytes(10 * 32_768) },
    }),
    reconcile: () => ({ t: "reconcile", round: sent, message: Uint8Array.of(0x61) }),
    ranges: () => ({ t: "reconcile", round: sent, message: many }),
    longRanges: () => ({ t: "reconcile", round: sent, message: many }),
    // One item of 1 MB, and 1 MB of small ones.
    large: () => batchFrame("items", encodeBatch([good(`${sent}`.padEnd(LIMITS.rawBytesMax, "."))])),
    small: () =>
      batchFrame("items", encodeBatch(Array.from({ length: 6_000 }, (_, n) => good(`${sent} ${n}`)))),
  };
  const ended = setInterval(() => {
    const isOver =
      (kind === "refer" || kind === "records") && firstAtMs > 0 && Date.now() - firstAtMs > 2_000;
    if (isOver) {
      clearInterval(ended);
      leave();
      return;
    }
    const untilMs = performance.now() + 20;
    for (let n = 0; n < 1_000 && isUp() && isRead() && performance.now() < untilMs; n++) {
      firstAtMs ||= Date.now();
      send(make[kind]!());
      sent++;
    }
  }, 5);
  await report(() => ({ frames: sent, firstCutAfterMs: cutAfterMs(), cutFor: [...reasons] }));
}

/** So many ranges of 1 ms each, the last 20 s, with fingerprints that nobody has. */
function ranges(count: number): Uint8Array {
  const digits = [1 + Date.now() - count];
  while (digits[0]! >= 128) digits.unshift(Math.floor(digits[0]! / 128), digits.shift()! % 128);
  const first = digits.map((digit, at) => (at < digits.length - 1 ? digit + 128 : digit));
  const range = () => Buffer.concat([Uint8Array.of(2, 0, 1), randomBytes(16)]);
  return Buffer.concat([Uint8Array.of(0x61, ...first, 0, 0), ...Array.from({ length: count }, range)]);
}

function good(raw: string) {
  const signature = `sha256:${hash("sha256", raw)}`;
  return withDigest({ id: raw.slice(0, 20), raw, signature, timestampMs: Date.now() });
}

/** On loopback, where nobody listens: other addresses may not be dialled from here. */
function nobodysAddress(): string {
  return `/ip4/127.${randomBytes(3).join(".")}/tcp/${(1_024 + (randomBytes(2).readUInt16BE() / 2 ** 16) * 60_000) | 0}`;
}

/** The record of a member that there is not. */
function ghost(): Uint8Array {
  const identity = new Identity();
  const fields = { id: identity.id, addresses: Array.from({ length: 32 }, nobodysAddress) };
  return encodeRecord({ ...recordOf(identity.id), ...fields }, CLUSTER, (text) => identity.sign(text)).bytes;
}

function recordOf(id: string) {
  return {
    ...{ id, session: "5e551045e551045e", incarnation: Date.now(), name: "attacker", version: "0" },
    ...{ retentionMs: LIMITS.retentionMs, policy: "", addresses: [], left: false },
    ...{ links: new Set<string>(), holdings: NOTHING },
  };
}

/** Becomes a member, and comes back whenever it is cut off. */
async function join(id: string, address: string) {
  let link = 0;
  let isRead = true;
  let attempt = 0;
  let upAtMs = 0;
  let cutAfterMs: number | undefined;
  let hasLeft = false;
  const reasons = new Map<string, number>();
  const send = (frame: Frame) => cluster.send(link, encodeFrame(frame));
  const dial = () => {
    if (!hasLeft) cluster.dial({ attempt: ++attempt, peer: id, addresses: [address] });
  };
  const cluster = await openLibp2pCluster({
    cluster: CLUSTER,
    listen: { hosts: ["127.0.0.1"] },
    listener: {
      admits: () => true,
      linkUp: (up) => {
        link = up.link;
        upAtMs = performance.now();
        send(hello());
      },
      dialFailed: () => void setTimeout(dial, 100),
      linkDown: (_, reason) => {
        link = 0;
        isRead = true;
        cutAfterMs ??= Math.round(performance.now() - upAtMs);
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
        setTimeout(dial, 100);
      },
      // A peer that does not answer is cut: this one answers, and finds no difference.
      frame: (_, bytes) => {
        const frame = decodeFrame(bytes);
        if (frame.t === "ping") send({ t: "pong", atMs: frame.atMs, nowMs: Date.now() });
        if (frame.t === "reconcile")
          send({ t: "reconciled", round: frame.round, message: Uint8Array.of(0x61) });
      },
      progressed: () => {},
      queued: (_, isLong) => {
        isRead = !isLong;
      },
    },
  });
  const hello = (): Frame => {
    const { bytes } = encodeRecord(recordOf(cluster.id), CLUSTER, (text) => cluster.sign(text));
    return {
      ...{ t: "hello", v: PROTOCOL_VERSION, cluster: CLUSTER, record: bytes, nowMs: Date.now() },
      ...{ starting: false, links: 0, linked: false, roster: "0".repeat(16) },
    };
  };
  const leave = () => {
    hasLeft = true;
    void cluster.close();
  };
  dial();
  return {
    ...{ send, reasons, leave, id: cluster.id },
    ...{ isUp: () => link > 0 && !hasLeft, isRead: () => isRead, cutAfterMs: () => cutAfterMs },
  };
}

/** Says how it goes, until it is told to end: the totals, and what of them came in the 1st, the 5th and the last second. */
async function report(state: () => Record<string, unknown>): Promise<void> {
  const seconds = [state()];
  setInterval(() => seconds.push(state()), 1_000);
  process.send!(seconds[0]);
  await once(process, "message");
  const total = state();
  const inSecond = (second: number, key: string) =>
    Number(seconds[second]?.[key]) - Number(seconds[second - 1]?.[key]);
  const perSecond = Object.entries(total).flatMap(([key, value]) =>
    typeof value === "number"
      ? [[key, [1, 5, seconds.length - 1].map((second) => inSecond(second, key))]]
      : [],
  );
  process.send!({ ...total, perSecond: Object.fromEntries(perSecond) }, () => process.exit());
}
