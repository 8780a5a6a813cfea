import type { Monitor } from "./monitor.js";
import { type CompleteHubOptions, completeHubOptions, type HubOptions, LOCAL_ENGINE } from "./options.js";
import { HubServer } from "./server.js";
import type { HubClientStatus, HubStatus } from "./stats.js";

export { keepHeapCalm } from "./heap.js";

/** A running hub. */
export interface Hub extends AsyncDisposable {
  /** `host:port` that clients connect to. */
  readonly address: string;
  readonly port: number;
  /** Of the HTTP monitoring; absent without. */
  readonly monitorUrl?: string;
  stats(): HubStatus;
  /** Those that are connected, then the last that are gone with their reason. */
  clients(): readonly HubClientStatus[];
  /** Idempotent. Takes no new clients, writes what is queued, then closes all with reason `stopping`. */
  close(): Promise<void>;
}

/**
 * Starts a hub in this process. Resolves when it listens; rejects and leaves nothing open.
 * @throws invalidOption, portInUse, cannotListen; with an engine also natsUnreachable, natsRefused, natsNoJetStream,
 *   natsUnusable
 */
export async function startHub(options: HubOptions = {}): Promise<Hub> {
  options.signal?.throwIfAborted();
  const complete = completeHubOptions(options);
  const server = new HubServer(complete);
  const uplink = complete.engine === LOCAL_ENGINE ? undefined : await connectToOthers(complete, server);
  try {
    options.signal?.throwIfAborted();
    await server.listen();
  } catch (error) {
    await uplink?.close();
    throw error;
  }
  const { port } = server;
  const extras: Closeable[] = [];
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= closeAll(server, extras, uplink);
    return closing;
  };
  let monitor: Monitor | undefined;
  try {
    if (complete.monitorPort !== undefined) {
      const { startMonitor } = await import("./monitor.js");
      monitor = await startMonitor(complete.monitorPort, server, complete.token);
      extras.push(monitor);
    }
    if (complete.mdns !== false) {
      const { advertiseHub } = await import("./advertise.js");
      extras.push(await advertiseHub(complete, port, monitor?.port));
    }
  } catch (error) {
    await close();
    throw error;
  }
  options.signal?.addEventListener("abort", () => void close(), { once: true });
  return {
    address: server.address,
    port,
    ...(monitor === undefined ? {} : { monitorUrl: monitor.url }),
    stats: () => server.status(),
    clients: () => server.clients(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Before it listens: the first client finds those of all hubs. */
async function connectToOthers(options: CompleteHubOptions, server: HubServer): Promise<Closeable> {
  const { openUplink } = await import("./router/index.js");
  return await openUplink(options, server);
}

interface Closeable {
  close(): Promise<void>;
}

/** Says goodbye to the network at once, so that nobody comes any more while outboxes empty. */
async function closeAll(
  server: HubServer,
  extras: readonly Closeable[],
  uplink: Closeable | undefined,
): Promise<void> {
  const goodbyes = extras.map((extra) => extra.close());
  await server.close();
  await uplink?.close();
  await Promise.all(goodbyes);
}

export type { NatsAccess } from "../net/nats/index.js";
export type { HubLogger, HubOptions } from "./options.js";
export type { CloseReason } from "./protocol/close-reason.js";
export type { SlowConsumer } from "./protocol/options.js";
export type { OtherHubStatus, RouterStatus } from "./router/status.js";
export type { HubClientStatus, HubStatus } from "./stats.js";
