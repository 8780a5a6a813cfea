import { setTimeout as pause } from "node:timers/promises";
import { HubcastError } from "../../core/errors.js";
import { tokenOf } from "../../core/options.js";
import {
  type CloseReason,
  FEATURE,
  FRAME,
  type HubFrame,
  type HubPeer,
  helloFrame,
  newFrame,
  WIRE_ERROR,
} from "../machine/frames.js";
import { HUB_LIMITS } from "../machine/limits.js";
import { connectError, HubConnection, refusalOf } from "./connection.js";
import {
  type CompleteHubClientOptions,
  checkToken,
  type HubAddress,
  type HubClientOptions,
  type HubReceipt,
} from "./options.js";

/** Version 1 has no welcome. */
const VERSION_1 = { version: 1, name: "", pingIntervalMs: HUB_LIMITS.pingIntervalMs };

/** A connection on which the hub has answered. */
export interface OpenConnection {
  readonly socket: HubConnection;
  readonly calls: Calls;
  readonly id: number;
  readonly version: number;
  readonly hubName: string;
  readonly closed: Promise<void>;
}

interface DialHandlers {
  /** Called before any other frame of the hub. */
  readonly onOpen: (connection: OpenConnection) => void;
  readonly onFrame: (frame: HubFrame) => boolean;
  readonly onLost: (reason: CloseReason) => void;
}

/**
 * Connects and says hello; in version 1 it asks for its own id. A failure before the answer rejects, and leaves
 * nothing open.
 * @throws invalidOption, unreachable, ownLimit, certificateRefused, notHubcast, unauthorized, tooManyClients, stopping
 */
export async function dial(
  address: HubAddress,
  options: CompleteHubClientOptions,
  signal: AbortSignal,
  handlers: DialHandlers,
): Promise<OpenConnection> {
  const first = await inTime(firstFrame(options), address, options, signal);
  signal.throwIfAborted();
  const calls = new Calls(options.callTimeoutMs);
  const closed = Promise.withResolvers<void>();
  return await new Promise<OpenConnection>((resolve, reject) => {
    let connection: OpenConnection | undefined;
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    };
    const fail = (error: unknown): void => {
      settle();
      reject(error);
      socket.cut();
    };
    const onAbort = (): void => fail(signal.reason);
    const onFrame = (frame: HubFrame): boolean => {
      if (connection === undefined && (frame.type === "welcome" || frame.type === "identity")) {
        settle();
        const { id } = frame;
        const agreed = frame.type === "welcome" ? frame : VERSION_1;
        connection = {
          socket,
          calls,
          id,
          version: agreed.version,
          hubName: agreed.name,
          closed: closed.promise,
        };
        socket.watch(agreed.pingIntervalMs, agreed.version);
        handlers.onOpen(connection);
        resolve(connection);
        return true;
      }
      return handlers.onFrame(frame);
    };
    const onClosed = (reason: CloseReason, error: Error | undefined): void => {
      const lost = closedError(address, options.tls !== undefined, reason, error, connection !== undefined);
      calls.fail(lost);
      closed.resolve();
      if (connection === undefined) fail(lost);
      else handlers.onLost(reason);
    };
    const socket = new HubConnection(address, options, { onFrame, onClosed });
    const timeoutMs = options.connectTimeoutMs;
    const timer = setTimeout(() => fail(silentError(address, timeoutMs)), timeoutMs);
    signal.addEventListener("abort", onAbort, { once: true });
    socket.send(first).catch(() => {});
  });
}

/** Waits for the function that gives the token no longer than for the hub, nor behind an abort. */
async function inTime<T>(
  answer: Promise<T>,
  address: HubAddress,
  { connectTimeoutMs }: CompleteHubClientOptions,
  signal: AbortSignal,
): Promise<T> {
  const over = new AbortController();
  const late = async (): Promise<never> => {
    await pause(connectTimeoutMs, undefined, { signal: AbortSignal.any([signal, over.signal]) }).catch(
      () => {},
    );
    signal.throwIfAborted();
    throw silentError(address, connectTimeoutMs);
  };
  try {
    return await Promise.race([answer, late()]);
  } finally {
    over.abort();
  }
}

async function firstFrame(options: HubClientOptions): Promise<Buffer> {
  const token = await tokenOf(options.token);
  checkToken(token);
  if (options.version === 1) return newFrame(FRAME.identity, 0);
  return helloFrame({
    version: 2,
    features: options.presence === true ? FEATURE.presence : 0,
    name: options.name ?? "",
    token: token ?? "",
  });
}

function closedError(
  { host, port }: HubAddress,
  talksTls: boolean,
  reason: CloseReason,
  error: Error | undefined,
  wasOpen: boolean,
): HubcastError {
  const where = `${host}:${port}`;
  const refusal = refusalOf(reason, where);
  if (refusal !== undefined) return refusal;
  const cause = error === undefined ? {} : { cause: error };
  if (wasOpen)
    return new HubcastError("connectionLost", `the hub at ${where} closed the connection: ${reason}`, cause);
  const known = error && connectError(error, where, talksTls);
  if (known !== undefined) return known;
  return new HubcastError(
    "notHubcast",
    `what answers at ${where} closed the connection before it said hello`,
    {
      ...cause,
      suggestions: [
        "Check the address and port.",
        ...(talksTls ? [] : ["A hub that talks TLS needs tls (--tls-ca)."]),
        "A hub with no place for more connections does so too: try again later.",
        VERSION_1_ALONE,
      ],
    },
  );
}

const VERSION_1_ALONE =
  "A hub that speaks version 1 alone is for hubcast hub simulate, and for programs: connectToHub with version 1.";

function silentError({ host, port }: HubAddress, timeoutMs: number): HubcastError {
  return new HubcastError(
    "notHubcast",
    `what listens at ${host}:${port} said no hello within ${timeoutMs} ms`,
    {
      suggestions: ["Check the address and port.", VERSION_1_ALONE],
    },
  );
}

/** The unanswered calls of one connection. */
class Calls {
  readonly lists: PendingCalls<readonly number[]>;
  readonly rosters: PendingCalls<readonly HubPeer[]>;
  readonly groups: PendingCalls<number>;
  readonly pings: PendingCalls<void>;
  readonly #receipts = new Map<number, PendingCalls<HubReceipt>>();
  #peers: HubPeer[] = [];
  #lastNumber = 0;

  /** @param timeoutMs of each */
  constructor(private readonly timeoutMs: number) {
    this.lists = new PendingCalls(timeoutMs);
    this.rosters = new PendingCalls(timeoutMs);
    this.groups = new PendingCalls(timeoutMs);
    this.pings = new PendingCalls(timeoutMs);
  }

  get pending(): boolean {
    const { lists, rosters, groups, pings } = this;
    return this.#receipts.size + lists.size + rosters.size + groups.size + pings.size > 0;
  }

  /** Sends a message under a number and waits for its receipt. */
  async receipt(send: (number: number) => void, signal?: AbortSignal): Promise<HubReceipt> {
    this.#lastNumber += 1;
    const number = this.#lastNumber;
    const question = new PendingCalls<HubReceipt>(this.timeoutMs);
    this.#receipts.set(number, question);
    try {
      return await question.ask(() => send(number), signal);
    } finally {
      this.#receipts.delete(number);
    }
  }

  /** @returns false when the frame answers nothing */
  take(frame: HubFrame): boolean {
    switch (frame.type) {
      case "list":
        this.lists.answer(frame.ids);
        return true;
      case "roster":
        // Not as arguments of one call: a frame may name more than the stack has room for.
        for (const peer of frame.peers) this.#peers.push(peer);
        if (frame.more) return true;
        this.rosters.answer(this.#peers);
        this.#peers = [];
        return true;
      case "joined":
      case "left":
        this.groups.answer(frame.members);
        return true;
      case "pong":
        this.pings.answer();
        return true;
      case "receipt":
        this.#receipts.get(frame.number)?.answer(frame);
        return true;
      case "error":
        this.groups.refuse(errorOf(frame.code, frame.text));
        return true;
      default:
        return false;
    }
  }

  fail(error: HubcastError): void {
    for (const questions of [this.lists, this.rosters, this.groups, this.pings, ...this.#receipts.values()]) {
      questions.fail(error);
    }
    this.#receipts.clear();
  }
}

function errorOf(code: number, text: string): HubcastError {
  return new HubcastError(code === WIRE_ERROR.tooManyGroups ? "tooManyGroups" : "invalidOption", text);
}

interface PendingCall<T> {
  readonly resolve: (answer: T) => void;
  readonly reject: (error: HubcastError) => void;
}

/** Pending calls of one kind: the hub answers them in their order. */
class PendingCalls<T> {
  #asked: PendingCall<T>[] = [];

  /** @param timeoutMs for each answer */
  constructor(private readonly timeoutMs: number) {}

  get size(): number {
    return this.#asked.length;
  }

  /**
   * @param ask sends the call. The promise rejects when `signal` aborts or time is up; a late answer is dropped.
   * @throws deadline
   */
  async ask(ask: () => void, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    return await new Promise<T>((resolve, reject) => {
      const onAbort = (): void => {
        settled();
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        settled();
        reject(new HubcastError("deadline", `the hub has not answered within ${this.timeoutMs} ms`));
      }, this.timeoutMs);
      const settled = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#asked.push({
        resolve: (answer) => {
          settled();
          resolve(answer);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      });
      ask();
    });
  }

  /** Answers the oldest call. */
  answer(answer: T): void {
    this.#asked.shift()?.resolve(answer);
  }

  /** Rejects the oldest call. */
  refuse(error: HubcastError): void {
    this.#asked.shift()?.reject(error);
  }

  /** The connection is closed. */
  fail(error: HubcastError): void {
    for (const question of this.#asked.splice(0)) question.reject(error);
  }
}
