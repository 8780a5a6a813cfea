// Load for a hub or a nats-server, in a process of its own: connects clients, waits for `go`, writes, counts bytes.
// Started by hub-fanout.ts with one JSON argument; talks to it over IPC.
import { connect, type Socket } from "node:net";

export interface Load {
  readonly protocol: "hub" | "nats" | "bare";
  readonly port: number;
  /** Clients of this process, and of all. */
  readonly clients: number;
  readonly clientsTotal: number;
  readonly messages: number;
  readonly size: number;
  /** `same`: each sender always writes to all others; `different`: another order of the list in each frame. */
  readonly lists: "same" | "different";
}

interface Client {
  readonly socket: Socket;
  id: number;
  received: number;
  done: boolean;
}

const load = JSON.parse(process.argv[2]!) as Load;
const clients: Client[] = [];
const NATS_MESSAGE = `MSG a 1 ${load.size}\r\n`;
const delivered = load.protocol !== "nats" ? 5 + load.size : NATS_MESSAGE.length + load.size + 2;
const expected = (load.clientsTotal - 1) * load.messages * delivered;
let counting = false;
let complete = 0;

process.on("disconnect", () => process.exit());
process.on("message", (message: { ids?: number[] }) => {
  if (message.ids) void start(message.ids);
});
for (let index = 0; index < load.clients; index += 1) clients.push(await open());
tell({ ready: clients.map(({ id }) => id) });

/** The parent may be gone when it has seen enough. */
function tell(message: object): void {
  if (process.connected) process.send!(message);
}

async function open(): Promise<Client> {
  let answered: (answer: Buffer) => void = () => {};
  const buffer = Buffer.allocUnsafeSlow(256 * 1024);
  const socket = connect({
    port: load.port,
    host: "127.0.0.1",
    noDelay: true,
    onread: {
      buffer,
      callback: (bytes) => {
        if (!counting) answered(buffer.subarray(0, bytes));
        else {
          client.received += bytes;
          if (client.received >= expected) finish(client);
        }
        return true;
      },
    },
  });
  const client: Client = { socket, id: 0, received: 0, done: false };
  socket.on("close", () => tell({ lost: client.id, received: client.received, expected }));
  socket.on("error", (error) => tell({ error: error.message }));
  if (load.protocol === "nats") {
    socket.write('CONNECT {"verbose":false,"pedantic":false,"echo":false}\r\nSUB a 1\r\nPING\r\n');
    await new Promise<void>((resolve) => {
      answered = (answer) => answer.toString("latin1").includes("PONG") && resolve();
    });
    return client;
  }
  socket.write(Buffer.of(0, 0, 0, 1, 1));
  const answer = await new Promise<Buffer>((resolve) => {
    answered = (bytes) => resolve(Buffer.from(bytes));
  });
  client.id = answer.readUInt32BE(9);
  return client;
}

async function start(ids: number[]): Promise<void> {
  counting = true;
  tell({ started: true });
  if (load.protocol === "bare") return;
  for (const client of clients)
    void write(
      client,
      ids.filter((id) => id !== client.id),
    );
}

async function write(client: Client, receivers: number[]): Promise<void> {
  const payload = Buffer.alloc(load.size, "x");
  const frames = Array.from({ length: load.lists === "different" ? 16 : 1 }, (_, shift) =>
    load.protocol === "hub"
      ? relay([...receivers.slice(shift), ...receivers.slice(0, shift)], payload)
      : Buffer.concat([Buffer.from(`PUB a ${load.size}\r\n`), payload, Buffer.from("\r\n")]),
  );
  const batch = Math.max(1, Math.floor(65_536 / frames[0]!.length));
  for (let sent = 0; sent < load.messages; sent += batch) {
    const count = Math.min(batch, load.messages - sent);
    const chunk = Buffer.concat(
      Array.from({ length: count }, (_, index) => frames[(sent + index) % frames.length]!),
    );
    if (!client.socket.write(chunk)) await new Promise((resolve) => client.socket.once("drain", resolve));
  }
}

function relay(receivers: readonly number[], payload: Buffer): Buffer {
  const head = Buffer.alloc(6 + 8 * receivers.length);
  head.writeUInt32BE(2 + 8 * receivers.length + payload.length, 0);
  head[4] = 3;
  head[5] = receivers.length;
  for (const [index, id] of receivers.entries()) head.writeUInt32BE(id, 10 + 8 * index);
  return Buffer.concat([head, payload]);
}

function finish(client: Client): void {
  if (client.done) return;
  client.done = true;
  complete += 1;
  // A nats-server also pings its clients.
  if (client.received > expected + (load.protocol === "nats" ? 64 : 0))
    tell({ error: `too much: ${client.received} of ${expected}` });
  if (complete === clients.length) tell({ done: true });
}
