import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type Server as TlsServer } from "node:tls";
import { hostAndPort } from "../core/hosts.js";
import { ServedCertificate } from "../runtime/certificate.js";
import { listen } from "../runtime/listen.js";
import { nowMs, WakeTimer } from "../runtime/runner.js";
import { type Token, TokenTable } from "../runtime/tokens.js";
import { PacedCalls, paceHandshakes } from "../runtime/turns.js";
import { checkToken } from "./client/options.js";
import { Connection, remoteOf, WriteTurn, watchUnacknowledged } from "./connection.js";
import type { FederationShell } from "./federation/index.js";
import { IdBlocks } from "./machine/clients.js";
import type { CloseReason } from "./machine/frames.js";
import { HUB_LIMITS } from "./machine/limits.js";
import { HubMachine } from "./machine/machine.js";
import type { SessionView } from "./machine/session.js";
import { type CompleteHubOptions, type HubOptions, LOCAL_ENGINE } from "./option-kinds.js";
import { PendingConnections } from "./pending-connections.js";
import { clientStatus, History, type HubClientStatus, type HubStatus, hubReasons } from "./status.js";

/** The shell of the machine: sockets in, timers, and the effects carried out. */
export class HubServer {
  readonly machine: HubMachine;
  /** The ids of a hub that is one of several. */
  readonly ids = new IdBlocks();
  readonly #certificate: ServedCertificate;
  /** Tokens that clients and callers of monitoring show; a wrong one counts at both. */
  readonly tokens: TokenTable;
  readonly #server: Server;
  readonly #connections = new Map<SessionView, Connection>();
  readonly #pending: PendingConnections;
  readonly #history = new History();
  readonly #writeTurn = new WriteTurn();
  /** Thousands of connections may end at the same moment. */
  readonly #endings = new PacedCalls(HUB_LIMITS.turnEndingsMax);
  /** New connections that wait to be read: each may have sent as much as one read takes. */
  readonly #beginnings = new PacedCalls(HUB_LIMITS.turnBeginningsMax);
  readonly #startedAtMs: number;
  #address = "";
  #turnEndPlanned = false;
  /** When the last turn had flushed its outboxes, and how long that took. */
  #flushedAtMs = 0;
  #flushMs = 0;
  #carryingOut = false;
  readonly #timer = new WakeTimer({
    now: nowMs,
    dueAtMs: () => this.machine.wakeAtMs,
    wake: (nowMs) => {
      this.machine.handle({ type: "woke" }, nowMs);
      this.carryOut();
    },
  });
  #stopping = false;
  #emptied: (() => void) | undefined;
  #federation: FederationShell | undefined;
  #unacknowledgedTimer: NodeJS.Timeout | undefined;

  constructor(private readonly options: CompleteHubOptions) {
    const { token, engine, logger, ...machineOptions } = options;
    this.#certificate = new ServedCertificate(options.tls, (fault) => logger?.warn({}, fault));
    this.tokens = new TokenTable(token === undefined ? [] : [{ token, role: "post" }], "hub", (address) => {
      logger?.warn({ address }, "too many wrong tokens from one address: further ones are refused for now");
    });
    this.machine = new HubMachine({
      ...machineOptions,
      ...(token !== undefined && { refuseToken: this.#refuseToken }),
      ...(engine !== LOCAL_ENGINE && { ids: this.ids }),
    });
    this.#startedAtMs = nowMs();
    const socketOptions = {
      noDelay: true,
      allowHalfOpen: true,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
      // So that a single byte that Connection puts back stops the reading.
      highWaterMark: 1,
    };
    if (options.tls === undefined)
      this.#server = createServer({ ...socketOptions, pauseOnConnect: true }, this.#onConnection);
    else {
      const tls = { ...options.tls, handshakeTimeout: options.handshakeTimeoutMs };
      const server = createTlsServer({ ...socketOptions, ...tls }, this.#onConnection);
      paceHandshakes(server, options.handshakeTimeoutMs);
      this.#server = server;
      this.#server.on("tlsClientError", this.#onTlsFailed);
    }
    // Each connection that waits to be told of the limit is an open file: further ones are dropped.
    this.#server.maxConnections = options.clientsMax + HUB_LIMITS.refusedAtOnceMax;
    this.#server.on("drop", this.#refuse);
    this.#pending = new PendingConnections(this.#server.maxConnections, (session) => {
      if (session === undefined) this.#refuse();
      else this.machine.handle({ type: "disconnected", session, reason: "clientsMax" }, nowMs());
      this.carryOut();
    });
    this.#server.prependListener("connection", (socket: Socket) => this.#pending.accepted(socket));
  }

  /** `host:port` that clients connect to. */
  get address(): string {
    return this.#address;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Clients of other hubs are reached through `federation` from now on. */
  attach(federation: FederationShell): void {
    this.#federation = federation;
  }

  /** @throws portInUse, cannotListen */
  async listen(): Promise<void> {
    const { host, port } = this.options;
    await listen(this.#server, { host, port, backlog: 4_096 }, { port: "--port", host: "--host" });
    this.#server.on("error", (error) => this.options.logger?.warn({ err: error }, "accepting failed"));
    this.#unacknowledgedTimer = watchUnacknowledged(
      () => this.#connections.values(),
      this.machine,
      this.port,
      this.options,
    );
    this.#address = hostAndPort({ host, port: this.port });
  }

  status(): HubStatus {
    const { usedBytes, peakBytes, maxBytes } = this.machine.memory;
    const router = this.#federation?.status();
    const certificateExpiresAtMs = this.#certificate.expiresAtMs;
    const details = hubReasons(router);
    const state = details.length > 0 ? "degraded" : "ready";
    return {
      name: this.options.name,
      address: this.#address,
      uptimeMs: Math.round(nowMs() - this.#startedAtMs),
      state: this.#stopping ? "stopping" : state,
      reasons: details.map(({ code }) => code),
      details,
      clients: this.machine.listed,
      clientsMax: this.options.clientsMax,
      groups: this.machine.groups,
      connections: this.#history.connections,
      closed: { ...this.#history.reasons },
      ...this.#history.totals(this.machine),
      memoryBytes: usedBytes,
      memoryPeakBytes: peakBytes,
      memoryMaxBytes: maxBytes,
      ...(certificateExpiresAtMs !== undefined && { certificateExpiresAtMs }),
      ...(router && { router }),
    };
  }

  /** Connected clients, oldest first, then the last closed ones, latest last. */
  clients(): HubClientStatus[] {
    const there = [...this.#connections.values()].filter(({ session }) => session.listed);
    return [...there.map(({ session, address }) => clientStatus(session, address)), ...this.#history.closed];
  }

  /** Takes another certificate or token. @throws invalidOption; nothing changes then */
  renew({ tls, token }: Pick<HubOptions, "tls" | "token">): void {
    checkToken(token);
    const tokens: readonly Token[] = token === undefined ? [] : [{ token, role: "post" }];
    if (token !== undefined) this.tokens.checkRenewal(tokens);
    if (tls) this.#certificate.renew(tls, this.#server as TlsServer);
    if (token !== undefined) this.tokens.renew(tokens);
  }

  /** Takes no new clients, reads nothing more, writes all outboxes, then closes all connections. */
  async close(): Promise<void> {
    this.#stopping = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.machine.handle({ type: "stopping" }, nowMs());
    this.carryOut();
    await this.#untilEmpty(this.options.drainTimeoutMs);
    for (const connection of this.#connections.values()) connection.cut();
    // Those in their TLS handshake, too.
    this.#pending.cutAll();
    await closed;
    // The machine is told of some ends of connections in each turn: the rest follows.
    await this.#untilEmpty(this.options.drainTimeoutMs);
    this.#timer.stop();
    clearInterval(this.#unacknowledgedTimer);
  }

  readonly #refuseToken = (shown: Buffer, session: SessionView): CloseReason | undefined => {
    const match = this.tokens.match(shown, this.#connections.get(session)?.socket.remoteAddress);
    return typeof match === "string" ? match : undefined;
  };

  readonly #onConnection = (socket: Socket): void => {
    if (this.#stopping || !this.machine.hasIds) {
      if (!this.#stopping) this.#outOfIds();
      socket.destroy();
      return;
    }
    const session = this.machine.connect(nowMs());
    const connection = new Connection(
      socket,
      session,
      this.machine,
      this.#writeTurn,
      nowMs,
      this.carryOut,
      this.#endings,
    );
    this.#connections.set(session, connection);
    this.#pending.began(connection.address, session);
    this.options.logger?.debug({ address: connection.address }, "client connects");
    this.#history.connections += 1;
    socket.once("close", (hadError: boolean) =>
      this.#endings.add([() => this.#onClosed(connection, hadError)]),
    );
    this.#federation?.idTaken();
    this.carryOut();
    if (this.options.tls === undefined) this.#beginnings.add([() => connection.setReading(session.reading)]);
  };

  readonly #refuse = (): void => {
    this.#history.refuse("clientsMax");
    this.options.logger?.warn({ reason: "clientsMax" }, "connection refused");
  };

  readonly #onTlsFailed = ({ message: error }: Error, socket: Socket): void => {
    this.#history.refuse("tlsFailed");
    this.options.logger?.warn(
      { reason: "tlsFailed", address: remoteOf(socket), error },
      "connection refused",
    );
    socket.destroy();
  };

  #onClosed(connection: Connection, hadError: boolean): void {
    const { session, address } = connection;
    const ending: CloseReason = hadError ? "connectionLost" : "clientClosed";
    const last = clientStatus(session, address);
    this.machine.handle({ type: "disconnected", session, reason: ending }, nowMs());
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

  /** Carries out the machine's effects; outboxes of ordinary size wait for the end of the turn. */
  readonly carryOut = (): void => {
    if (this.#carryingOut) return;
    this.#carryingOut = true;
    const { effects } = this.machine;
    while (effects.pending) {
      effects.flushUrgent(this.#flush);
      for (const session of effects.takeReading()) {
        if (session.link !== undefined) this.#federation?.reading(session);
        else this.#connections.get(session)?.setReading(session.reading);
      }
      for (const { session, flush } of effects.takeClosing()) {
        const connection = this.#connections.get(session);
        if (flush) connection?.end();
        else connection?.cut();
      }
    }
    this.#carryingOut = false;
    const hasWork = effects.hasDirty || this.machine.worked || this.#writeTurn.hasWaiting;
    if (hasWork && !this.#turnEndPlanned) this.#planTurnEnd();
    this.#timer.plan();
  };

  /** The turn ends with that of the event loop, or later: flushes take half of the time at most. */
  #planTurnEnd(): void {
    this.#turnEndPlanned = true;
    const { flushPauseMsMin, flushPauseMsMax } = HUB_LIMITS;
    const pauseMs = Math.min(this.#flushMs, flushPauseMsMax) - (nowMs() - this.#flushedAtMs);
    if (pauseMs < flushPauseMsMin || this.machine.turnSpent || this.#writeTurn.hasWaiting)
      setImmediate(this.#endTurn);
    else setTimeout(this.#endTurn, pauseMs);
  }

  /** Flushes the outboxes that the reads of this turn have filled, and continues deferred work. */
  readonly #endTurn = (): void => {
    this.#turnEndPlanned = false;
    const beganMs = nowMs();
    this.#writeTurn.begin();
    this.machine.effects.flushDirty(this.#flush);
    this.#flushedAtMs = nowMs();
    this.#flushMs = this.#flushedAtMs - beganMs;
    this.machine.handle({ type: "turned" }, this.#flushedAtMs);
    while (this.machine.hasLeftOver) this.machine.handle({ type: "continued" }, nowMs());
    this.carryOut();
  };

  readonly #flush = (session: SessionView): void => {
    if (session.link !== undefined) this.#federation?.flush(session);
    else this.#connections.get(session)?.flush();
  };

  #outOfIds(): void {
    this.#history.refuse("idsUsedUp");
    this.options.logger?.warn({ reason: "idsUsedUp" }, "no id left for a client, and NATS gives no more now");
  }

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
