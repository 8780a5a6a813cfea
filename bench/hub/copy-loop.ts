// A bare `net` loop: one process writes the same buffer through many loopback sockets; others read it, and compare it as
// the load generator does. What the kernel and Node can move at all. Started by hub.ts with one JSON argument.
import { fork } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

interface Copy {
  readonly sockets: number;
  readonly bytes: number;
  readonly writes: number;
  /** Processes that share the sockets. */
  readonly readers: number;
  readonly port?: number;
}

const copy = JSON.parse(process.argv[2]!) as Copy;
if (copy.port === undefined) await writeAll();
else readAll(copy.port);

async function writeAll(): Promise<void> {
  const server = createServer({ noDelay: true }).listen(0, "127.0.0.1", 4_096);
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const sockets: Socket[] = [];
  const complete = new Promise<void>((resolve) => {
    server.on("connection", (socket) => sockets.push(socket) === copy.sockets && resolve());
  });
  const readers = Array.from({ length: copy.readers }, (_, index) => {
    const own = Math.floor((copy.sockets + index) / copy.readers);
    return fork(new URL(import.meta.url), [JSON.stringify({ ...copy, port, sockets: own })]);
  });
  await complete;
  const buffer = Buffer.alloc(copy.bytes, "x");
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  const finished = Promise.all(readers.map((reader) => once(reader, "message")));
  await Promise.all(sockets.map((socket) => write(socket, buffer)));
  await finished;
  const { user, system } = process.cpuUsage(cpu);
  console.log(JSON.stringify({ seconds: (performance.now() - startedAt) / 1_000, cpuUs: user + system }));
  process.exit();
}

async function write(socket: Socket, buffer: Buffer): Promise<void> {
  for (let count = 0; count < copy.writes; count += 1) {
    if (!socket.write(buffer)) await once(socket, "drain");
  }
}

function readAll(port: number): void {
  process.on("disconnect", () => process.exit());
  let left = copy.sockets * copy.writes * copy.bytes;
  const buffer = Buffer.allocUnsafeSlow(131_072);
  const expected = Buffer.alloc(buffer.length, "x");
  const callback = (bytes: number): boolean => {
    left -= bytes;
    if (buffer.compare(expected, 0, bytes, 0, bytes) !== 0) throw new Error("other bytes than were written");
    if (left === 0) process.send!("done");
    return true;
  };
  for (let count = 0; count < copy.sockets; count += 1) {
    connect({ port, host: "127.0.0.1", onread: { buffer, callback } });
  }
}
