import { BlockList, isIPv6, type Socket } from "node:net";

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8);
LOOPBACK.addAddress("::1", "ipv6");

/** Whether the caller is a program on this machine. */
export function isFromThisMachine({ remoteAddress = "" }: Pick<Socket, "remoteAddress">): boolean {
  const bare = unwrapped(remoteAddress);
  return LOOPBACK.check(bare, isIPv6(bare) ? "ipv6" : "ipv4");
}

/** What counts as one caller: one machine has as many IPv6 addresses as it likes within its /64. */
export function networkOf({ remoteAddress = "" }: Pick<Socket, "remoteAddress">): string {
  const bare = unwrapped(remoteAddress);
  if (!isIPv6(bare)) return bare;
  const [head = "", tail] = bare.split("%")[0]!.split("::");
  const first = head === "" ? [] : head.split(":");
  const last = tail ? tail.split(":") : [];
  const zeros = tail === undefined ? [] : new Array<string>(8 - first.length - last.length).fill("0");
  return [...first, ...zeros, ...last].slice(0, 4).join(":");
}

/** An IPv4 address that a socket for both families shows as IPv6. */
function unwrapped(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, "");
}
