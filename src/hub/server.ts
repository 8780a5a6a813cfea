import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { nowMs } from "./clock.js";
import { Connection } from "./connection.js";
import { listenError } from "./listen-error.js";
import { type CompleteHubOptions, LOCAL_ENGINE } from "./options.js";
import type { CloseReason } from "./protocol/close-reason.js";
import { HubMachine } from "./protocol/hub-machine.js";
import { IdBlocks } from "./protocol/ids.js";
import type { Session } from "./protocol/session.js";
import type { Uplink } from "./router/uplink.js";
import { clientStatus, History, type HubClientStatus, type HubStatus } from "./stats.js";
import { tokenMatcher } from "./token-matcher.js";
import { WriteTurn } from "./write-turn.js";

/** The machine over real sockets: tells it what happens, carries out what it orders. */
export class HubServer {
  readonly machine: HubMachine;
  /** Where a hub that is one of several has its ids from. */
  readonly ids = new IdBlocks();
  readonly #server: Server;
  readonly #connections = new Map<Session, Connection>();
  readonly #rawSockets = new Set<Socket>();
  readonly #history = new History();
  readonly #writeTurn = new WriteTurn();
  readonly #startedAtMs: number;
  #address = "";
  #turnEndPlanned = false;
  #carryingOut = false;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #stopping = false;
  #emptied: (() => void) | undefined;
  #uplink: Uplink | undefined;

  constructor(private readonly options: CompleteHubOptions) {
    const { token, engine, ...machineOptions } = options;
    this.machine = new HubMachine({
      ...machineOptions,
      ...(token !== undefined && { tokenMatches: tokenMatcher(token) }),
      ...(engine !== LOCAL_ENGINE && { ids: this.ids }),
    });
    this.#startedAtMs = nowMs();
    const socketOptions = {
      noDelay: true,
      allowHalfOpen: true,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
    };
    if (options.tls === undefined) this.#server = createServer(socketOptions, this.#onConnection);
    else {
      const tls = { ...options.tls, handshakeTimeout: options.handshakeTimeoutMs };
      this.#server = createTlsServer({ ...socketOptions, ...tls }, this.#onConnection);
      this.#server.on("connection", this.#onRawSocket);
      this.#server.on("tlsClientError", (_error: Error, socket: Socket) => socket.destroy());
    }
  }

  /** `host:port` that clients connect to. */
  get address(): string {
    return this.#address;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** From now on, clients of other hubs are reached by that way. */
  attach(uplink: Uplink): void {
    this.#uplink = uplink;
  }

  /** @throws portInUse, cannotListen */
  async listen(): Promise<void> {
    const { host, port } = this.options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)));
      this.#server.listen({ host, port, backlog: 4096 }, resolve);
    });
    this.#server.removeAllListeners("error");
    this.#server.on("error", (error) => this.options.logger?.warn({ err: error }, "accepting failed"));
    this.#address = `${host.includes(":") ? `[${host}]` : host}:${this.port}`;
  }

  status(): HubStatus {
    const { usedBytes, peakBytes, maxBytes } = this.machine.memory;
    return {
      name: this.options.name,
      address: this.#address,
      uptimeMs: Math.round(nowMs() - this.#startedAtMs),
      state: this.#stopping ? "stopping" : "ready",
      clients: this.machine.listed,
      groups: this.machine.groups,
      connections: this.#history.connections,
      closed: { ...this.#history.reasons },
      ...this.#history.totals(this.machine),
      memoryBytes: usedBytes,
      memoryPeakBytes: peakBytes,
      memoryMaxBytes: maxBytes,
      ...(this.#uplink && { router: this.#uplink.status() }),
    };
  }

  /** Those that are connected, oldest first, then the last that are gone, latest last. */
  clients(): HubClientStatus[] {
    const there = [...this.#connections.values()].filter(({ session }) => session.listed);
    return [...there.map(({ session, address }) => clientStatus(session, address)), ...this.#history.closed];
  }

  /** No new clients, nothing more is read, what is queued is written, then all are closed. */
  async close(): Promise<void> {
    this.#stopping = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.machine.stopReading(nowMs());
    for (const { session } of this.#connections.values()) this.machine.close(session, "stopping", nowMs());
    this.carryOut();
    await this.#untilEmpty(this.options.drainTimeoutMs);
    for (const connection of this.#connections.values()) connection.cut();
    for (const socket of this.#rawSockets) socket.destroy();
    await closed;
    clearTimeout(this.#timer);
  }

  readonly #onConnection = (socket: Socket): void => {
    if (this.#stopping || !this.machine.hasIds) {
      if (!this.#stopping) this.#outOfIds();
      socket.destroy();
      return;
    }
    const session = this.machine.connected(nowMs());
    const connection = new Connection(socket, session, this.machine, this.#writeTurn, nowMs, this.carryOut);
    this.#connections.set(session, connection);
    this.#history.connections += 1;
    socket.once("close", (hadError: boolean) => this.#onClosed(connection, hadError));
    this.#uplink?.idTaken();
    this.carryOut();
  };

  /** With TLS, what is not a client yet must end with the hub too. */
  readonly #onRawSocket = (socket: Socket): void => {
    this.#rawSockets.add(socket);
    socket.once("close", () => this.#rawSockets.delete(socket));
  };

  #onClosed(connection: Connection, hadError: boolean): void {
    const { session, address } = connection;
    const ending: CloseReason = hadError ? "connectionLost" : "clientClosed";
    const last = clientStatus(session, address);
    this.machine.disconnected(session, ending, nowMs());
    connection.release();
    this.#connections.delete(session);
    const reason = session.closeReason ?? ending;
    this.#history.add({ ...last, closedMs: Math.round(nowMs()), reason }, reason);
    const ours = reason !== "clientClosed" && reason !== "stopping";
    const fields = { id: session.id, name: session.name, address, reason };
    if (ours) this.options.logger?.warn(fields, "client closed");
    else this.options.logger?.info(fields, "client closed");
    this.carryOut();
    if (this.#connections.size === 0) this.#emptied?.();
  }

  /** Does what the machine has ordered; flushes of ordinary size wait for the end of the turn. */
  readonly carryOut = (): void => {
    if (this.#carryingOut) return;
    this.#carryingOut = true;
    const { now, reading, closing, dirty } = this.machine.effects;
    while (now.length + reading.length + closing.length > 0) {
      for (const session of now.splice(0)) {
        session.urgent = false;
        this.#flush(session);
      }
      for (const session of reading.splice(0)) {
        if (session.link !== undefined) this.#uplink?.reading(session);
        else this.#connections.get(session)?.setReading(session.reading);
      }
      for (const { session, flush } of closing.splice(0)) {
        const connection = this.#connections.get(session);
        if (flush) connection?.end();
        else connection?.cut();
      }
    }
    this.#carryingOut = false;
    const owed = dirty.length > 0 || this.machine.worked || this.#writeTurn.hasWaiting;
    if (owed && !this.#turnEndPlanned) {
      this.#turnEndPlanned = true;
      setImmediate(this.#endTurn);
    }
    if (this.machine.wakeAtMs < this.#timerAtMs) this.#planWake();
  };

  /** Once per turn of the event loop: writes what its reads have queued, and begins what was too much for it. */
  readonly #endTurn = (): void => {
    this.#turnEndPlanned = false;
    this.#writeTurn.begin();
    const { dirty } = this.machine.effects;
    for (const session of dirty.splice(0)) {
      session.dirty = false;
      this.#flush(session);
    }
    this.machine.turned(nowMs());
    this.carryOut();
  };

  #flush(session: Session): void {
    if (session.link !== undefined) this.#uplink?.flush(session);
    else this.#connections.get(session)?.flush();
  }

  #outOfIds(): void {
    this.#history.refuse("idsUsedUp");
    this.options.logger?.warn({ reason: "idsUsedUp" }, "no id left for a client, and NATS gives no more now");
  }

  #planWake(): void {
    clearTimeout(this.#timer);
    this.#timerAtMs = this.machine.wakeAtMs;
    if (this.#timerAtMs === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(this.#onWake, Math.max(1, Math.ceil(this.#timerAtMs - nowMs())));
  }

  readonly #onWake = (): void => {
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    this.machine.woke(nowMs());
    this.carryOut();
  };

  async #untilEmpty(timeoutMs: number): Promise<void> {
    if (this.#connections.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#emptied = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
