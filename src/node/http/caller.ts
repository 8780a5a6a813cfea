import { isIPv6, type Socket } from "node:net";
import { canonicalHost, isLoopbackHost } from "../../net/loopback.js";

/** Whether the caller is a program on this machine. */
export function isFromThisMachine({ remoteAddress = "" }: Pick<Socket, "remoteAddress">): boolean {
  // Nearly all are, by this address, and they post the most.
  return remoteAddress === "127.0.0.1" || isLoopbackHost(remoteAddress);
}

/** What counts as one caller: one machine has as many IPv6 addresses as it likes within its /64. */
export function networkOf({ remoteAddress = "" }: Pick<Socket, "remoteAddress">): string {
  const bare = canonicalHost(remoteAddress);
  if (!isIPv6(bare)) return bare;
  const [head = "", tail] = bare.split("%")[0]!.split("::");
  const first = head === "" ? [] : head.split(":");
  const last = tail ? tail.split(":") : [];
  const zeros = tail === undefined ? [] : new Array<string>(8 - first.length - last.length).fill("0");
  return [...first, ...zeros, ...last].slice(0, 4).join(":");
}
