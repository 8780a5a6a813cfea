import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { afterEach, expect, it } from "vitest";
import { connectToHub } from "../../src/hub/client/index.js";
import { type Hub, type HubOptions, startHub } from "../../src/hub/index.js";
import { HUB_LIMITS } from "../../src/hub/machine/limits.js";
import { eventually } from "../fixtures/eventually.js";

const cert = readFileSync(new URL("../fixtures/tls/cert.pem", import.meta.url));
const key = readFileSync(new URL("../fixtures/tls/key.pem", import.meta.url));
const CLIENTS_MAX = 5;
const PLACES = CLIENTS_MAX + HUB_LIMITS.refusedAtOnceMax;

let hub: Hub;
const silent: Socket[] = [];
afterEach(async () => {
  for (const socket of silent.splice(0)) socket.destroy();
  await hub.close();
});

/** Connections that say nothing, one after the other. */
async function connectSilent(count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    const socket = connect(hub.port, "127.0.0.1").on("error", () => {});
    silent.push(socket);
    await eventually(() => !socket.connecting);
  }
}

it.each<[string, HubOptions]>([
  ["before their hello", {}],
  ["in their TLS handshake", { tls: { cert, key } }],
])(
  "connections %s take no place from clients: the oldest is cut when all are taken",
  async (_when, options) => {
    hub = await startHub({ port: 0, token: "secret", clientsMax: CLIENTS_MAX, ...options });
    const tls = options.tls === undefined ? {} : { tls: { ca: String(cert), servername: "localhost" } };
    const join = () => connectToHub(hub.address, { token: "secret", reconnect: false, ...tls });
    await using before = await join();
    await connectSilent(2 * PLACES);
    await using late = await join();
    expect(await before.list()).toEqual([late.id]);
    // One place stays free for the next, two are taken by clients.
    const left = PLACES - 3;
    await eventually(() => hub.stats().closed.clientsMax === silent.length - left);
    await eventually(() => silent.filter(({ closed }) => closed).length === silent.length - left);
    expect(silent.slice(-left).every(({ closed }) => !closed)).toBe(true);
  },
);
