import { hostAndPort } from "../../../core/hosts.js";
import { type PeerAddress, resolveHost, toMultiaddr } from "./address.js";

export interface DialOptions<T> {
  readonly addresses: readonly PeerAddress[];
  /** Connects to one address. @param address multiaddr without a peer id @throws DialFault, or what the transport throws */
  connect(address: string, signal: AbortSignal): Promise<T>;
  /** A connection that came when another had won. */
  discard(connection: T): void;
  readonly signal: AbortSignal;
}

/** Why there is no link, in words for people. */
export class DialFault extends Error {
  /** @param isSelf the address is this node's own */
  constructor(
    message: string,
    readonly isSelf = false,
  ) {
    super(message);
  }
}

/** Why a peer that answers gets no further; it does not say which. */
export const NO_HANDSHAKE =
  "completes no handshake: it has another cluster key, does not admit this node, has no room, or is no node";

/** Between two connects: enough for a round trip on one network, so that most dials cost one connection. */
const STAGGER_MS = 100;
/** Addresses that the reason of a failed dial names. */
const REASONS_MAX = 3;

/**
 * Connects to the first address that answers (happy eyeballs, RFC 8305): connects begin in the order of the addresses, each
 * 100 ms after the one before, or as soon as one has failed. libp2p by itself tries the addresses of a peer one after the
 * other, so a silent one in front delays by its whole timeout.
 * @throws DialFault when none answers
 */
export async function dialFirst<T>(options: DialOptions<T>): Promise<T> {
  const over = new AbortController();
  const signal = AbortSignal.any([options.signal, over.signal]);
  const turns = new Turns();
  // The system takes its time over a name, and cannot be interrupted.
  const { promise: late, reject } = Promise.withResolvers<never>();
  late.catch(() => {});
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  const dialIp = async (ip: string, { host, port }: PeerAddress): Promise<T> => {
    await turns.begin();
    try {
      signal.throwIfAborted();
      const connection = await options.connect(toMultiaddr(ip, port), signal);
      if (signal.aborted) {
        options.discard(connection);
        signal.throwIfAborted();
      }
      over.abort();
      return connection;
    } catch (error) {
      const isSelf = error instanceof DialFault && error.isSelf;
      throw new DialFault(`${hostAndPort({ host, port })} ${describe(error)}`, isSelf);
    } finally {
      turns.end();
    }
  };
  const dial = async (address: PeerAddress): Promise<T> => {
    const ips = await Promise.race([resolveHost(address.host), late]).catch(() => []);
    if (ips.length === 0) throw new DialFault(`${address.host} is no name that can be resolved`);
    return Promise.any(ips.map((ip) => dialIp(ip, address)));
  };
  try {
    return await Promise.any(options.addresses.map(dial));
  } catch (error) {
    throw summary((error as AggregateError).errors.flatMap((one) => one.errors ?? one) as DialFault[]);
  } finally {
    over.abort();
    turns.close();
  }
}

function summary(faults: readonly DialFault[]): DialFault {
  const reasons = [...new Set(faults.map(({ message }) => message))];
  const rest = reasons.length - REASONS_MAX;
  return new DialFault(
    `${reasons.slice(0, REASONS_MAX).join("; ")}${rest > 0 ? `; and ${rest} more addresses` : ""}`,
    faults.some(({ isSelf }) => isSelf),
  );
}

function describe(error: unknown): string {
  if (error instanceof DialFault) return error.message;
  const { name, message } = error as Error;
  // Of an AbortSignal's own errors the code is a number.
  const code = String((error as { readonly code?: unknown }).code);
  if (code === "ECONNREFUSED") return "refuses connections";
  if (name === "AbortError" || name === "TimeoutError" || code === "ETIMEDOUT") return "does not answer";
  if (/^E(HOST|NET)|^EADDR|^EACCES|^EINVAL/.test(code)) return `cannot be reached (${code})`;
  if (name === "ConnectionInterceptedError") return "has an id that this node does not admit";
  return `${NO_HANDSHAKE} (${message})`;
}

/** Lets callers begin one after the other. */
class Turns {
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #timer: NodeJS.Timeout | undefined;

  async begin(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    if (this.#running === 0) this.#next();
    else this.#timer ??= setTimeout(() => this.#next(), STAGGER_MS);
    await promise;
  }

  /** One that had begun is done: the next need not wait, but for a turn of the event loop: all may fail at once. */
  end(): void {
    this.#running--;
    setImmediate(() => this.#next());
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const begin of this.#waiting.splice(0)) begin();
  }

  #next(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const begin = this.#waiting.shift();
    if (!begin) return;
    this.#running++;
    begin();
    if (this.#waiting.length > 0) this.#timer = setTimeout(() => this.#next(), STAGGER_MS);
  }
}
