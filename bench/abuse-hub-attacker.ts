// The attacker of bench/abuse-hub.ts, in a process of its own: ATTACK PORT.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { frame, hello, relay, u64 } from "../test/hub/raw-client.ts";

/** Clients that do nothing but be there: what is asked about all clients is asked about these. */
const IDLE = 900;
const GROUP_NAME_BYTES = 64;
const PRESENCE = 1;

let port = 0;
let bytesWritten = 0;
let connections = 0;
let closed = 0;
let stopped = false;

const LIST = frame(2);
const ROSTER = frame(22);
const flags = (receipt: boolean, number: number): Buffer =>
  Buffer.concat([Buffer.of(receipt ? 1 : 0), u64(number)]);
const groupName = (n: number): string => String(n).padStart(GROUP_NAME_BYTES, "g");
/** So many bytes of that frame again and again: what one read takes. */
const many = (bytes: Buffer, total = 65_536): Buffer =>
  Buffer.concat(new Array<Buffer>(Math.max(1, Math.floor(total / bytes.length))).fill(bytes));

const ATTACKS: Record<string, () => Promise<void>> = {
  "lists-one": async () => {
    await idle(IDLE);
    await flood(1, () => many(LIST));
  },
  lists: () => flood(IDLE, () => many(LIST)),
  "lists-unread": async () => {
    await idle(IDLE);
    await flood(100, () => many(LIST), { reads: false });
  },
  rosters: async () => {
    await idle(IDLE, (n) => hello(groupName(n)));
    await flood(20, () => many(ROSTER), { first: hello("asks") });
  },
  frames: unfinishedFrames,
  churn: () => comeAndGo(200, () => LIST),
  "churn-presence": async () => {
    await idle(500, (n) => hello(groupName(n), { features: PRESENCE }));
    await comeAndGo(200, (n) => hello(groupName(n)));
  },
  storm: async () => {
    for (let round = 0; !stopped && round < 100; round += 1) {
      const sockets = Array.from({ length: 4_000 }, () => open());
      await Promise.all(
        sockets.map((socket) => Promise.race([once(socket, "connect"), once(socket, "close")])),
      ).catch(() => {});
      for (const socket of sockets) socket.destroy();
      await pause(500);
      if (round === 0) begun();
    }
  },
  ends: async () => {
    for (let round = 0; !stopped && round < 100; round += 1) {
      const sockets: Socket[] = [];
      for (let n = 0; n < 4_000; n += 1) {
        const socket = open();
        sockets.push(socket);
        write(socket, LIST);
        // The hub has taken each of them in.
        if (n % 50 === 49) await once(socket, "data");
      }
      if (round === 0) begun();
      await pause(300);
      for (const socket of sockets) socket.destroy();
      await pause(500);
    }
  },
  joins: async () => {
    await idle(IDLE, (n) =>
      Buffer.concat([
        hello("member"),
        ...Array.from({ length: 64 }, (_, g) => frame(20, groupName(n * 64 + g))),
      ]),
    );
    let n = 1_000_000;
    await flood(
      20,
      () =>
        Buffer.concat(
          Array.from({ length: 450 }, () => {
            n += 1;
            return Buffer.concat([frame(20, groupName(n)), frame(21, groupName(n))]);
          }),
        ),
      { first: hello("joins") },
    );
  },
  receipts: async () => {
    await idle(IDLE, () => hello("receiver"));
    const ids = Array.from({ length: 255 }, (_, n) => 10 + n);
    await flood(5, () => many(frame(17, flags(true, 7), Buffer.of(255), u64(...ids))), {
      first: hello("asks"),
    });
  },
  "receipts-unknown": async () => {
    const ids = Array.from({ length: 255 }, (_, n) => 1_000_000 + n);
    await flood(20, () => many(frame(17, flags(true, 7), Buffer.of(255), u64(...ids))), {
      first: hello("asks"),
    });
  },
  "to-all": async () => {
    await idle(IDLE, () => hello("receiver"));
    await flood(5, () => many(frame(18, flags(true, 7))), { first: hello("sends") });
  },
  relays: async () => {
    await idle(IDLE);
    const ids = Array.from({ length: 255 }, (_, n) => 10 + n);
    await flood(20, () => many(relay(ids, "x")));
  },
  "unread-receivers": async () => {
    await idle(20, undefined, false);
    // The measuring clients came first: 1 and 2.
    const ids = Array.from({ length: 20 }, (_, n) => 3 + n);
    await flood(5, () => many(relay(ids, Buffer.alloc(100_000)), 400_000));
  },
  hellos: async () => {
    await idle(500, (n) => hello(groupName(n), { features: PRESENCE }));
    await flood(20, () => many(hello("again", { features: PRESENCE })));
  },
  pings: () => flood(20, () => many(frame(24, "12345678")), { first: hello("pings") }),
  "monitor-chunks": () =>
    monitor(
      "POST /v1/status HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
      many(Buffer.from("1\r\nx\r\n")),
    ),
  "monitor-clients": async () => {
    await idle(IDLE);
    await monitor("", many(Buffer.from("GET /v1/clients HTTP/1.1\r\nHost: localhost\r\n\r\n")));
  },
  "monitor-tokens": () => {
    const guesses = Array.from(
      { length: 600 },
      (_, n) => `GET /v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess-${n}\r\n\r\n`,
    );
    return monitor("", Buffer.from(guesses.join("")));
  },
  tokens: () => comeAndGo(200, (n) => hello("guesses", { token: `guess ${n}` })),
};

/** Its header and half of it, then a byte now and then: 1 MB each, 500 times. */
async function unfinishedFrames(): Promise<void> {
  const head = relay([1], Buffer.alloc(1_000_000)).subarray(0, 500_000);
  const sockets = Array.from({ length: 500 }, () => open());
  for (const socket of sockets) write(socket, head);
  begun();
  while (!stopped) {
    for (const [n, socket] of sockets.entries()) {
      if (socket.destroyed) {
        sockets[n] = open();
        write(sockets[n]!, head);
      } else write(socket, Buffer.of(0));
    }
    await pause(500);
  }
}

function open(): Socket {
  connections += 1;
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  socket.on("error", () => {});
  socket.once("close", () => {
    closed += 1;
  });
  socket.resume();
  return socket;
}

function write(socket: Socket, bytes: Buffer): boolean {
  bytesWritten += bytes.length;
  return socket.write(bytes);
}

async function idle(count: number, first?: (n: number) => Buffer, reads = true): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    const socket = open();
    if (!reads) socket.pause();
    if (first) write(socket, first(n));
    if (n % 50 === 49) await pause(10);
  }
  await pause(500);
}

/** So many clients write that, again and again, as fast as the hub reads; they come back when they are closed. */
async function flood(
  count: number,
  bytes: () => Buffer,
  { first, reads = true }: { readonly first?: Buffer; readonly reads?: boolean } = {},
): Promise<void> {
  const one = (): void => {
    if (stopped) return;
    const socket = open();
    if (!reads) socket.pause();
    if (first) write(socket, first);
    const more = (): void => {
      if (socket.destroyed || stopped) return;
      if (write(socket, bytes())) setImmediate(more);
    };
    socket.on("drain", more);
    socket.once("close", () => setTimeout(one, 10));
    socket.once("connect", more);
  };
  for (let n = 0; n < count; n += 1) one();
  begun();
}

/** So many at a time connect, write that, wait for the first answer, and leave. */
async function comeAndGo(count: number, bytes: (n: number) => Buffer): Promise<void> {
  let n = 0;
  const one = (): void => {
    if (stopped) return;
    const socket = open();
    socket.once("connect", () => write(socket, bytes(n++)));
    socket.once("data", () => (n % 2 === 0 ? socket.destroy() : socket.resetAndDestroy()));
    socket.once("close", () => setImmediate(one));
  };
  for (let times = 0; times < count; times += 1) one();
  begun();
}

/** Four connections send that to monitoring, again and again. */
async function monitor(head: string, unit: Buffer): Promise<void> {
  port = Number(process.argv[4]);
  await flood(4, () => unit, { first: Buffer.from(head) });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function state(): object {
  return { bytesWritten, connections, closed };
}

function begun(): void {
  process.send!(state());
}

port = Number(process.argv[3]);
process.on("message", (message) => {
  if (message !== "end") process.send!(state());
  else {
    stopped = true;
    process.send!(state(), () => process.exit());
  }
});
await ATTACKS[process.argv[2]!]!();
