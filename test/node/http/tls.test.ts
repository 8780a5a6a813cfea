import { Agent, request } from "node:https";
import { expect, test } from "vitest";
import { connectToNode } from "../../../src/node/client.js";
import { openHttpApi } from "../../../src/node/http/index.js";
import { EXPIRED, FIRST, RENEWED, shownName } from "../../fixtures/certificates.js";
import { answerTurns } from "../../fixtures/client-hellos.js";
import { FakeServedNode } from "../../fixtures/fake-served-node.js";
import { all } from "../../fixtures/http-call.js";

const { cert, key } = FIRST;

test("a certificate makes it HTTPS, for calls and streams", async () => {
  const api = await openHttpApi({ node: new FakeServedNode(), port: 0, tls: { cert, key } });
  expect(api.url).toMatch(/^https:/);
  await using node = await connectToNode(api.url, { ca: cert });
  expect(await all(node.postMany([{ id: "a", raw: "x" }]))).toEqual([{ id: "a", status: "accepted" }]);
  expect((await node.get("a"))?.raw).toBe("x");
  await node.close();
  await api.close();
});

test("a certificate that is not trusted is said to be the reason", async () => {
  const api = await openHttpApi({ node: new FakeServedNode(), port: 0, tls: { cert, key } });
  await expect(connectToNode(api.url)).rejects.toMatchObject({
    code: "unreachable",
    message: expect.stringMatching(/certificate/),
    suggestions: [expect.stringMatching("NODE_EXTRA_CA_CERTS")],
  });
  await api.close();
});

test("http to an https node is not hubcast, or unreachable, but never hangs", async () => {
  const api = await openHttpApi({ node: new FakeServedNode(), port: 0, tls: { cert, key } });
  const connecting = connectToNode(api.url.replace("https", "http"), { timeoutMs: 2_000 });
  await expect(connecting).rejects.toMatchObject({
    code: expect.stringMatching(/^(notHubcast|unreachable)$/),
  });
  await api.close();
});

test("a key that is none is refused at the door", async () => {
  const opening = openHttpApi({ node: new FakeServedNode(), port: 0, tls: { cert, key: "no key" } });
  await expect(opening).rejects.toMatchObject({ code: "invalidOption", suggestions: [expect.any(String)] });
});

test("another certificate is shown from then on, and an open connection stays", async () => {
  const api = await openHttpApi({ node: new FakeServedNode(), port: 0, tls: FIRST });
  const agent = new Agent({ keepAlive: true, ca: FIRST.cert });
  const ask = () =>
    new Promise<boolean>((resolve, reject) => {
      const asked = request(`${api.url}/healthz`, { agent }, (answer) =>
        answer.resume().once("end", () => resolve(asked.reusedSocket)),
      );
      asked.once("error", reject).end();
    });
  expect(await ask()).toBe(false);
  api.renew({ tls: RENEWED });
  expect(await shownName(api.address.port)).toBe("renewed");
  expect(() => api.renew({ tls: { cert: FIRST.cert, key: RENEWED.key } })).toThrow("key values mismatch");
  expect(await shownName(api.address.port)).toBe("renewed");
  expect(() => api.renew({ tls: FIRST, tokens: [{ token: "first", role: "read" }] })).toThrow("settled");
  expect(await shownName(api.address.port), "nothing of a renewal that is refused").toBe("renewed");
  expect(await ask()).toBe(true);
  agent.destroy();
  await api.close();
});

test("one that expired is taken, told in the log and shown", async () => {
  const told: string[] = [];
  const logger = { debug() {}, error() {}, warn: (_: object, message: string) => void told.push(message) };
  const api = await openHttpApi({ node: new FakeServedNode(), port: 0, tls: EXPIRED, logger });
  expect(told).toEqual([expect.stringContaining("expired at 2020-12-31")]);
  expect(api.certificate!.expiresAtMs).toBe(Date.parse("2020-12-31"));
  await api.close();
});

test("an API without TLS takes no certificate", async () => {
  const api = await openHttpApi({ node: new FakeServedNode(), port: 0 });
  expect(() => api.renew({ tls: FIRST })).toThrow("started without TLS");
  await api.close();
});

test("handshakes that begin at the same moment leave turns of the event loop to others", async () => {
  const api = await openHttpApi({ node: new FakeServedNode(), port: 0, tls: { cert, key } });
  const answeredAt = await answerTurns(Number(new URL(api.url).port), 20);
  expect(answeredAt).toHaveLength(20);
  expect(answeredAt.at(-1)! - answeredAt[0]!).toBeGreaterThan(2 * 18);
  await api.close();
});
