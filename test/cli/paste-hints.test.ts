import { expect, it } from "vitest";
import { addressesFromElsewhere, flagWords, programWords, shellWord } from "../../src/cli/live-status.js";

it.each([
  ["/home/a/hubcast/bin/run.js", "/home/a/hubcast", "node bin/run.js"],
  ["/home/a/hubcast/bin/run.js", "/home/a/hubcast/docs", "node /home/a/hubcast/bin/run.js"],
  ["/home/a b/bin/run.js", "/", "node 'home/a b/bin/run.js'"],
  ["/home/a/app/node_modules/.bin/hubcast", "/home/a/app", "npx hubcast"],
  ["/usr/local/bin/hubcast", "/home/a", "hubcast"],
])("%s in %s is called by %s", (path, directory, words) => {
  expect(programWords(path, directory)).toBe(words);
});

it("words are quoted where a shell would read something else", () => {
  expect(["plain", "a b", "it's", "$HOME"].map(shellWord)).toEqual([
    "plain",
    "'a b'",
    "'it'\\''s'",
    "'$HOME'",
  ]);
  expect(flagWords({ url: "http://[::1]:80", "token-file": undefined, file: "a b" })).toBe(
    " --url 'http://[::1]:80' --file 'a b'",
  );
});

const entry = (address: string, internal = false) => ({
  address,
  internal,
  family: address.includes(":") ? "IPv6" : "IPv4",
  netmask: "",
  mac: "",
  cidr: null,
  scopeid: 0,
});
const interfaces = {
  lo: [entry("127.0.0.1", true), entry("::1", true)],
  eth0: [entry("192.168.0.7"), entry("fd00::7"), entry("fe80::7")],
} as unknown as Parameters<typeof addressesFromElsewhere>[1];

it.each([
  ["0.0.0.0", ["192.168.0.7"]],
  ["::", ["192.168.0.7", "[fd00::7]"]],
  ["127.0.0.1", []],
  ["192.168.0.7", []],
])("bound to %s it is reached from elsewhere at %j", (host, addresses) => {
  expect(addressesFromElsewhere(host, interfaces)).toEqual(addresses);
});
