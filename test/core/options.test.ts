import { expect, test } from "vitest";
import { checkOptions } from "../../src/core/options.js";
import { HUB_KINDS } from "../../src/hub/option-kinds.js";
import { NODE_KINDS } from "../../src/node/option-kinds.js";

test.each<[unknown, RegExp, string?]>([
  [null, /^the options of startNode are null, not an object$/],
  ["x", /^the options of startNode are a string, not an object$/],
  [[], /are an array/],
  [{ clusterr: "x" }, /^startNode has no option "clusterr"$/, "Did you mean cluster?"],
  [{ dataDri: "x" }, /^startNode has no option "dataDri"$/, "Did you mean dataDir?"],
  [{ http: { tokns: [] } }, /^startNode has no option "http.tokns"$/, "Did you mean http.tokens?"],
  [{ p2p: { prt: 1 } }, /"p2p.prt"$/, "Did you mean p2p.port?"],
  [{ http: true }, /^http is true; it must be an object$/],
  [{ http: { port: 70_000 } }, /^http.port is 70000; it must be a whole number from 0 to 65535$/],
  [{ mdns: "off" }, /^mdns is "off"; it must be true or false, or an object$/],
  [{ mdns: { interfaces: "eth0" } }, /^mdns.interfaces is "eth0"; it must be an array of strings$/],
  [{ retentionMs: "24h" }, /^retentionMs is "24h"; it must be a whole number/],
  [{ clusterKey: "secret" }, /^clusterKey is a string; it must be 32 bytes$/],
  [{ logger: { info() {} } }, /^logger is an object; it must be a logger with debug, info, warn, error$/],
  [{ toString: 1 }, /^startNode has no option "toString"$/],
])("startNode refuses %j", (options, message, advice) => {
  let thrown: unknown;
  try {
    checkOptions("startNode", options, NODE_KINDS);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({ code: "invalidOption", message: expect.stringMatching(message) });
  if (advice !== undefined) expect(thrown).toMatchObject({ suggestions: expect.arrayContaining([advice]) });
});

test.each<[object, string]>([
  [{ outboxMx: 1 }, "Did you mean outboxMax?"],
  [{ nats: { credential: "x" } }, "Did you mean nats.credentials?"],
  [{ nats: { replica: 3 } }, "Did you mean nats.replicas?"],
])("startHub refuses %j", (options, advice) => {
  const check = () => checkOptions("startHub", options, HUB_KINDS);
  expect(check).toThrow(expect.objectContaining({ suggestions: expect.arrayContaining([advice]) }));
});

test("what is undefined is absent", () => {
  checkOptions("startNode", { name: undefined, http: undefined, p2p: { port: undefined } }, NODE_KINDS);
});
