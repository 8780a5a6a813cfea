import { expect, test } from "vitest";
import { parsePeerAddress, resolveHost, toMultiaddr } from "../../../../src/node/cluster/libp2p/address.js";

test.each([
  ["10.0.0.1:4001", { host: "10.0.0.1", port: 4001 }],
  ["node-1.example:4001", { host: "node-1.example", port: 4001 }],
  ["[::1]:4001", { host: "::1", port: 4001 }],
  ["[fe80::1%eth0]:4001", { host: "fe80::1%eth0", port: 4001 }],
  ["/ip4/10.0.0.1/tcp/4001", { host: "10.0.0.1", port: 4001 }],
  ["/ip6/::1/tcp/4001/p2p/12D3Koo", { host: "::1", port: 4001, id: "12D3Koo" }],
  ["/ip6zone/eth0/ip6/fe80::1/tcp/4001", { host: "fe80::1%eth0", port: 4001 }],
  ["/dns/node.example/tcp/4001", { host: "node.example", port: 4001 }],
])("%s is an address", (text, address) => {
  expect(parsePeerAddress(text)).toEqual(address);
});

test.each([
  "",
  "host",
  "host:",
  "host:0",
  "host:65536",
  "host:x",
  "::1:4001",
  "[1.2.3.4]:4001",
  "http://host:4001",
  "/ip4/10.0.0.1/udp/4001",
  "/ip4/::1/tcp/4001",
  "/ip4/10.0.0.1/tcp/4001/p2p",
  "/ip4/10.0.0.1/tcp/4001/ws",
  "/unix/tmp/socket",
])("%j is no address, and the error says what one is", (text) => {
  expect(() => parsePeerAddress(text)).toThrow(expect.objectContaining({ code: "invalidOption" }));
});

test("IPs become multiaddrs, with their zone", () => {
  expect(toMultiaddr("10.0.0.1", 1)).toBe("/ip4/10.0.0.1/tcp/1");
  expect(toMultiaddr("fe80::1%eth0", 1)).toBe("/ip6zone/eth0/ip6/fe80::1/tcp/1");
});

test("an IP needs no resolver", async () => {
  expect(await resolveHost("::1")).toEqual(["::1"]);
});
