import { isIPv4 } from "node:net";
import { networkInterfaces } from "node:os";
import { HubcastError } from "../../core/errors.js";

/** An interface of this machine that speaks IPv4. */
export interface UsableInterface {
  readonly name: string;
  /** The address that stands for it: its first one. */
  readonly address: string;
  /** All of its IPv4 addresses, and the network each is in. */
  readonly networks: readonly { readonly address: string; readonly netmask: string }[];
  readonly loopback: boolean;
}

/**
 * The interfaces to use now.
 * @param wanted addresses or names; undefined for all, the loopback interface included
 */
export function usableInterfaces(wanted?: readonly string[]): readonly UsableInterface[] {
  const usable = Object.entries(networkInterfaces()).flatMap(([name, entries = []]): UsableInterface[] => {
    const networks = entries.filter((entry) => entry.family === "IPv4");
    const first = networks[0];
    return first ? [{ name, address: first.address, networks, loopback: first.internal }] : [];
  });
  return wanted ? usable.filter((candidate) => wanted.some((wish) => isMeant(candidate, wish))) : usable;
}

/** @throws invalidOption when one of the wanted interfaces does not exist, naming those that do */
export function checkInterfaces(wanted: readonly string[]): void {
  const usable = usableInterfaces();
  for (const wish of wanted) {
    if (usable.some((candidate) => isMeant(candidate, wish))) continue;
    const names = usable.map(({ name, address }) => `${name} (${address})`).join(", ");
    throw new HubcastError(
      "invalidOption",
      `no interface "${wish}" with an IPv4 address is up on this machine`,
      {
        suggestions: [`Name one of these by name or address: ${names || "none is up"}.`],
      },
    );
  }
}

/** Whether an address is on one of the interface's networks, so that a packet from there came in through it. */
export function isOnLink(link: UsableInterface, address: string): boolean {
  return link.networks.some((network) => {
    const mask = toNumber(network.netmask);
    return (toNumber(address) & mask) === (toNumber(network.address) & mask);
  });
}

function isMeant(candidate: UsableInterface, wish: string): boolean {
  return candidate.name === wish || candidate.networks.some(({ address }) => address === wish);
}

function toNumber(address: string): number {
  if (!isIPv4(address)) return -1;
  return address.split(".").reduce((sum, part) => (sum << 8) | Number(part), 0);
}
