// The limit for large messages: one process that only copies so much to so many sockets. Prints its port; answers the
// identity question, then writes `writes` times `size` bytes to each of `clients` sockets when all are there.
import { createServer, type Socket } from "node:net";

const { clients, writes, size } = JSON.parse(process.argv[2]!) as {
  clients: number;
  writes: number;
  size: number;
};
const payload = Buffer.alloc(5 + size, "x");
const sockets: Socket[] = [];

const server = createServer({ noDelay: true }, (socket) => {
  sockets.push(socket);
  const answer = Buffer.alloc(13);
  answer.writeUInt32BE(9, 0);
  answer[4] = 1;
  answer.writeUInt32BE(sockets.length, 9);
  socket.once("data", () => socket.write(answer));
  socket.on("error", () => {});
});
server.listen(0, "127.0.0.1", () => console.log((server.address() as { port: number }).port));

process.on("SIGUSR2", () => {
  for (const socket of sockets.slice(0, clients)) void copy(socket);
});

async function copy(socket: Socket): Promise<void> {
  for (let done = 0; done < writes; done += 1) {
    if (!socket.write(payload)) await new Promise((resolve) => socket.once("drain", resolve));
  }
}
