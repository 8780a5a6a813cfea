import { hexId } from "../core/machine.js";
import { VERSION } from "../core/version.js";
import { startStep } from "../runtime/start-step.js";
import type { Monitor } from "./monitor.js";
import {
  type CompleteHubOptions,
  clientsThatFit,
  completeHubOptions,
  type HubOptions,
  LOCAL_ENGINE,
} from "./option-kinds.js";
import { HubServer } from "./server.js";
import type { HubClientStatus, HubStatus } from "./status.js";

/** A running hub. */
export interface Hub extends AsyncDisposable {
  /** `host:port` that clients connect to. */
  readonly address: string;
  readonly port: number;
  /** The URL of the HTTP monitoring; absent without. */
  readonly monitorUrl?: string;
  stats(): HubStatus;
  /** Connected clients, then the last closed ones with their reason. */
  clients(): readonly HubClientStatus[];
  /**
   * Takes another certificate and another token from now on; clients that are connected stay.
   * @throws invalidOption when one of them cannot be used; nothing changes then
   */
  renew(access: Pick<HubOptions, "tls" | "token">): void;
  /** Idempotent. Takes no new clients, writes all outboxes, then closes all with reason `stopping`. */
  close(): Promise<void>;
}

/**
 * Starts a hub in this process. Resolves when it listens; rejects and leaves nothing open.
 * @throws invalidOption, portInUse, cannotListen; with an engine also natsUnreachable, natsRefused, natsNoJetStream,
 *   natsUnusable
 */
export async function startHub(options: HubOptions = {}): Promise<Hub> {
  options.signal?.throwIfAborted();
  const asked = completeHubOptions(options);
  const complete = { ...asked, clientsMax: clientsThatFit(asked) };
  const server = new HubServer(complete);
  const { logger } = complete;
  const federation = complete.engine === LOCAL_ENGINE ? undefined : await connectToOthers(complete, server);
  try {
    options.signal?.throwIfAborted();
    await startStep(`listening on ${complete.host}`, server.listen(), { logger, late: () => server.close() });
  } catch (error) {
    await federation?.close();
    throw error;
  }
  const { port } = server;
  const extras: Closeable[] = [];
  let closing: Promise<void> | undefined;
  const over = new AbortController();
  const close = (): Promise<void> => {
    over.abort();
    closing ??= closeAll(server, extras, federation);
    return closing;
  };
  let monitor: Monitor | undefined;
  try {
    if (complete.monitorPort !== undefined) {
      const { startMonitor } = await import("./monitor.js");
      monitor = await startMonitor(complete.monitorPort, server, server.tokens);
      extras.push(monitor);
    }
    if (complete.mdns !== false) {
      const advertised = advertiseHub(complete, port, monitor?.port);
      const late = (advertisement: Closeable) => advertisement.close();
      extras.push(await startStep("opening multicast DNS", advertised, { logger, late }));
    }
    options.signal?.throwIfAborted();
  } catch (error) {
    await close();
    throw error;
  }
  options.signal?.addEventListener("abort", () => void close(), { once: true, signal: over.signal });
  return {
    address: server.address,
    port,
    ...(monitor === undefined ? {} : { monitorUrl: monitor.url }),
    stats: () => server.status(),
    clients: () => server.clients(),
    renew: (access) => server.renew(access),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Before the hub listens: its first client sees the clients of all hubs. */
async function connectToOthers(options: CompleteHubOptions, server: HubServer): Promise<Closeable> {
  const { joinFederation } = await import("./federation/index.js");
  return await startStep("meeting the other hubs by NATS", joinFederation(options, server), {
    logger: options.logger,
    late: (federation) => federation.close(),
  });
}

interface Closeable {
  close(): Promise<void>;
}

/** Discovery goodbyes first, so that no new clients arrive while outboxes empty. */
async function closeAll(
  server: HubServer,
  extras: readonly Closeable[],
  federation: Closeable | undefined,
): Promise<void> {
  const goodbyes = extras.map((extra) => extra.close());
  await server.close();
  await federation?.close();
  await Promise.all(goodbyes);
}

/**
 * Makes the hub known as `_hubcast-hub._tcp`, on the interfaces where it answers. Does not wait for the probing:
 * clients with an address can come meanwhile. @see docs/protocol-hub.md#discovery
 */
async function advertiseHub(
  options: CompleteHubOptions,
  port: number,
  monitorPort?: number,
): Promise<Closeable> {
  const { mdns, host, name, logger } = options;
  const { openDnsSd } = await import("../discovery/index.js");
  const dnsSd = await openDnsSd({
    ...(typeof mdns === "object" && { interfaces: mdns.interfaces }),
    // Clients with an address do without.
    optional: true,
    onWarning: (warning) => logger?.warn({ code: warning.code }, `discovery: ${warning.message}`),
  });
  dnsSd
    .advertise({
      type: "_hubcast-hub._tcp",
      name,
      id: hexId(8, Math.random),
      port,
      txt: { v: VERSION, ...(options.tls && { tls: "1" }), ...(options.token && { token: "1" }) },
      // Monitoring answers on loopback only, so only loopback shows its port.
      txtFor: (address) =>
        monitorPort !== undefined && address.startsWith("127.") ? { monitor: String(monitorPort) } : {},
      ...(everywhere(host) ? {} : { addressesFor: (address) => (answersOn(host, address) ? [address] : []) }),
      onRenamed: (renamed) => logger?.warn({ name: renamed }, "another hub has this name"),
    })
    .catch((error: Error) => logger?.warn({ err: error }, "not advertised"));
  return { close: () => dnsSd.close() };
}

function everywhere(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

function answersOn(host: string, address: string): boolean {
  return host === address || (host === "localhost" && address === "127.0.0.1");
}

export type { NatsAccess } from "../runtime/nats.js";
export type { CloseReason } from "./machine/frames.js";
export type { SlowConsumer } from "./machine/state.js";
export type { HubLogger, HubOptions } from "./option-kinds.js";
export type { HubClientStatus, HubReasonDetail, HubStatus, OtherHubStatus, RouterStatus } from "./status.js";
