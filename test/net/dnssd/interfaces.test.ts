import { expect, test } from "vitest";
import { isOnLink } from "../../../src/net/dnssd/interfaces.js";

const link = {
  name: "eth0",
  address: "192.168.1.5",
  loopback: false,
  networks: [
    { address: "192.168.1.5", netmask: "255.255.255.0" },
    { address: "172.20.0.1", netmask: "255.255.240.0" },
  ],
};

test.each([
  ["192.168.1.9", true],
  ["192.168.2.9", false],
  ["172.20.15.255", true],
  ["172.20.16.0", false],
  ["127.0.0.1", false],
  ["255.255.255.255", false],
  ["::1", false],
  ["nonsense", false],
])("a packet from %s came in through the interface: %s", (address, expected) => {
  expect(isOnLink(link, address)).toBe(expected);
});
