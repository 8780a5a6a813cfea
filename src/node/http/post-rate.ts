import type { IncomingMessage } from "node:http";
import { isIPv6 } from "node:net";
import { HubcastError } from "../../core/errors.js";
import { canonicalHost, isLoopbackHost } from "../../net/loopback.js";
import type { HttpLimits } from "./options.js";

/** What one caller may still post, and when that was reckoned. */
interface Bucket {
  items: number;
  atMs: number;
}

/**
 * How many items each caller may post: so many a second, and a burst of ten seconds' worth. Callers are told apart by
 * token and by address, and neither may be over its share. Callers on this machine have no limit unless one was asked
 * for: whoever runs programs here can do worse.
 */
export class PostRate {
  /** Used last stands last. */
  readonly #buckets = new Map<string, Bucket>();
  readonly #perSecond: number;
  readonly #sparesLoopback: boolean;
  readonly #callersMax: number;
  #lastLoopback: string | undefined;

  /** @param perSecond as the user asked for; absent: the default of `limits` */
  constructor(
    perSecond: number | undefined,
    limits: HttpLimits,
    private readonly now: () => number = Date.now,
  ) {
    this.#perSecond = perSecond ?? limits.postItemsPerSecond;
    this.#sparesLoopback = perSecond === undefined;
    this.#callersMax = limits.postCallersMax;
  }

  /** Takes `wanted` items from the caller's share. @returns how many of them it may post */
  grant({ socket, headers }: Pick<IncomingMessage, "socket" | "headers">, wanted: number): number {
    const address = socket.remoteAddress ?? "";
    if (this.#sparesLoopback && this.#isLoopback(address)) return wanted;
    const buckets = [this.#bucket(`address ${network(address)}`)];
    if (headers.authorization !== undefined) buckets.push(this.#bucket(`token ${headers.authorization}`));
    const granted = Math.min(wanted, ...buckets.map(({ items }) => Math.floor(items)));
    for (const bucket of buckets) bucket.items -= granted;
    return granted;
  }

  /** For one item. @throws rateLimited */
  takeOne(request: Pick<IncomingMessage, "socket" | "headers">): void {
    if (this.grant(request, 1) === 1) return;
    throw new HubcastError("rateLimited", `more than ${this.#perSecond} items a second from one caller`, {
      suggestions: ["Wait a second, then go on.", "Whoever runs the node can raise the limit: --post-rate."],
    });
  }

  /** Such callers post the most, and nearly all from one address: telling costs more than finding the route. */
  #isLoopback(address: string): boolean {
    if (address === this.#lastLoopback) return true;
    if (!isLoopbackHost(address)) return false;
    this.#lastLoopback = address;
    return true;
  }

  #bucket(caller: string): Bucket {
    const nowMs = this.now();
    const burst = 10 * this.#perSecond;
    const bucket = this.#buckets.get(caller) ?? { items: burst, atMs: nowMs };
    this.#buckets.delete(caller);
    this.#buckets.set(caller, bucket);
    if (this.#buckets.size > this.#callersMax) this.#buckets.delete(this.#buckets.keys().next().value!);
    const gained = (Math.max(0, nowMs - bucket.atMs) * this.#perSecond) / 1000;
    bucket.items = Math.min(burst, bucket.items + gained);
    bucket.atMs = nowMs;
    return bucket;
  }
}

/** One machine has as many IPv6 addresses as it likes within its /64, which is what counts. */
function network(address: string): string {
  const bare = canonicalHost(address);
  if (!isIPv6(bare)) return bare;
  const [head = "", tail] = bare.split("%")[0]!.split("::");
  const first = head === "" ? [] : head.split(":");
  const last = tail ? tail.split(":") : [];
  const zeros = tail === undefined ? [] : new Array<string>(8 - first.length - last.length).fill("0");
  return [...first, ...zeros, ...last].slice(0, 4).join(":");
}
