import { expect, test } from "vitest";
import { dialFirst } from "../../../../src/node/cluster/libp2p/dial.js";

const signal = new AbortController().signal;

test.each([
  [new DOMException("The operation was aborted due to timeout", "TimeoutError"), "does not answer"],
  [Object.assign(new Error("connect"), { code: "ECONNREFUSED" }), "refuses connections"],
  [Object.assign(new Error("connect"), { code: "EHOSTUNREACH" }), "cannot be reached (EHOSTUNREACH)"],
  [new Error("Unexpected EOF"), "completes no handshake"],
])("a dial that fails says why in words: %s", async (error, words) => {
  const dialled = dialFirst({
    addresses: [{ host: "192.0.2.7", port: 4001 }],
    connect: () => Promise.reject(error),
    discard: () => {},
    signal,
  });
  await expect(dialled).rejects.toThrow(`192.0.2.7:4001 ${words}`);
});
