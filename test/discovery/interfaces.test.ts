import { describe, expect, test } from "vitest";
import { asUsable, cameInThrough } from "../../src/discovery/links.js";

const made = (name: string, ...cidrs: string[]) =>
  asUsable(
    name,
    cidrs.map((cidr) => {
      const address = cidr.split("/")[0]!;
      return { address, cidr, family: address.includes(":") ? "IPv6" : "IPv4", internal: name === "lo" };
    }),
  )!;

const lo = made("lo", "127.0.0.1/8", "::1/128");
const eth0 = made("eth0", "fe80::1/64", "192.168.1.5/24", "172.20.0.1/20");
const eth1 = made("eth1", "10.0.0.1/32", "192.168.7.5/24");
const machine = [lo, eth0, eth1];

describe("a packet to the group", () => {
  test.each([
    ["192.168.1.9", ["eth0"]],
    ["172.20.15.255", ["eth0"]],
    ["192.168.7.1", ["eth1"]],
    ["10.0.0.1", ["eth1"]],
    ["127.0.0.1", ["lo"]],
    ["127.9.9.9", ["lo"]],
    // On the link whatever its source (RFC 6762, 11); which link, nothing tells.
    ["192.168.2.9", ["eth0", "eth1"]],
    ["172.20.16.0", ["eth0", "eth1"]],
    ["10.0.0.2", ["eth0", "eth1"]],
    ["8.8.8.8", ["eth0", "eth1"]],
  ])("from %s came in through %j", (source, names) => {
    const through = machine.filter((via) => cameInThrough(via, source, machine));
    expect(through.map(({ name }) => name)).toEqual(names);
  });

  test("that an IPv6 socket received came in through the interface it is bound to", () => {
    for (const source of ["fe80::9%eth0", "fd00::9"]) expect(cameInThrough(eth0, source, machine)).toBe(true);
  });
});

test("an interface stands for its IPv4 addresses first; one of IPv6 alone is used too", () => {
  expect(eth0.address).toBe("192.168.1.5");
  expect(eth0.networks.map(({ cidr }) => cidr)).toEqual(["192.168.1.5/24", "172.20.0.1/20", "fe80::1/64"]);
  expect(made("eth2", "fe80::2/64").address).toBe("fe80::2");
  expect(asUsable("eth3", [])).toBeUndefined();
});
