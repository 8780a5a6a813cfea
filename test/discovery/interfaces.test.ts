import { describe, expect, test } from "vitest";
import { asUsable, cameInThrough, WorkBudget } from "../../src/discovery/links.js";

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

describe("work for packets", () => {
  const admitted = (budget: WorkBudget, count: number, senderOf: (n: number) => string, fromMs = 0) => {
    let taken = 0;
    for (let n = 0; n < count; n++) if (budget.charge(senderOf(n), 1, fromMs + n / 10)) taken++;
    return taken;
  };

  test("is bounded for each sender, and one that floods takes nothing from others", () => {
    const budget = new WorkBudget(false);
    // 10,000 a second, for 2 s.
    expect(admitted(budget, 20_000, () => "10.0.0.66")).toBeLessThanOrEqual(1_000 + 2 * 200 + 1);
    expect(admitted(budget, 500, () => "10.0.0.7", 2_000)).toBe(500);
  });

  test("is bounded for the interface, however many senders there are", () => {
    const taken = admitted(new WorkBudget(false), 20_000, (n) => `10.0.${(n >> 8) & 255}.${n & 255}`);
    expect(taken).toBeLessThanOrEqual(2_000 + 2 * 1_000 + 1);
  });

  test("on loopback, where all senders have one address, is bounded as for an interface", () => {
    expect(admitted(new WorkBudget(true), 1_500, () => "127.0.0.1")).toBe(1_500);
  });

  test("comes back", () => {
    const budget = new WorkBudget(false);
    admitted(budget, 20_000, () => "10.0.0.66");
    expect(admitted(budget, 900, () => "10.0.0.66", 60_000)).toBe(900);
  });
});
