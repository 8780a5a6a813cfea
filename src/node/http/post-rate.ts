import type { IncomingMessage } from "node:http";
import { HubcastError } from "../../core/errors.js";
import { isFromThisMachine, networkOf } from "./caller.js";
import type { HttpLimits } from "./options.js";
import { Shares } from "./shares.js";

/**
 * How many items each caller may post: so many a second, and a burst of ten seconds' worth. Callers are told apart by
 * token and by address, and neither may be over its share. Callers on this machine have no limit unless one was asked
 * for: whoever runs programs here can do worse.
 */
export class PostRate {
  readonly #shares: Shares;
  readonly #sparesLoopback: boolean;

  /** @param perSecond as the user asked for; absent: the default of `limits` */
  constructor(perSecond: number | undefined, limits: HttpLimits, now: () => number = Date.now) {
    this.#shares = new Shares(perSecond ?? limits.postItemsPerSecond, limits.postCallersMax, now);
    this.#sparesLoopback = perSecond === undefined;
  }

  /** Takes `wanted` items from the caller's share. @returns how many of them it may post */
  grant({ socket, headers }: Pick<IncomingMessage, "socket" | "headers">, wanted: number): number {
    if (this.#sparesLoopback && isFromThisMachine(socket)) return wanted;
    const names = [`address ${networkOf(socket)}`];
    if (headers.authorization !== undefined) names.push(`token ${headers.authorization}`);
    const granted = Math.min(wanted, ...names.map((name) => this.#shares.left(name)));
    for (const name of names) this.#shares.take(name, granted);
    return granted;
  }

  /** For one item. @throws rateLimited */
  takeOne(request: Pick<IncomingMessage, "socket" | "headers">): void {
    if (this.grant(request, 1) === 1) return;
    const { perSecond } = this.#shares;
    throw new HubcastError("rateLimited", `more than ${perSecond} items a second from one caller`, {
      suggestions: ["Wait a second, then go on.", "Whoever runs the node can raise the limit: --post-rate."],
    });
  }
}
