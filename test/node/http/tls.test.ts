import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { connectToNode } from "../../../src/node/client.js";
import { openHttpApi } from "../../../src/node/http/index.js";
import { FakeService } from "../../fixtures/fake-service.js";
import { all } from "../../fixtures/http-call.js";

// Self-signed for localhost and 127.0.0.1, good for a hundred years, and of use to nobody.
const cert = readFileSync(new URL("../../fixtures/tls/cert.pem", import.meta.url));
const key = readFileSync(new URL("../../fixtures/tls/key.pem", import.meta.url));

test("a certificate makes it HTTPS, for calls and streams", async () => {
  const api = await openHttpApi({ service: new FakeService(), port: 0, tls: { cert, key } });
  expect(api.url).toMatch(/^https:/);
  await using node = await connectToNode(api.url, { ca: cert });
  expect(await all(node.postMany([{ id: "a", raw: "x" }]))).toEqual([{ id: "a", status: "accepted" }]);
  expect((await node.get("a"))?.raw).toBe("x");
  await node.close();
  await api.close();
});

test("a certificate that is not trusted is said to be the reason", async () => {
  const api = await openHttpApi({ service: new FakeService(), port: 0, tls: { cert, key } });
  await expect(connectToNode(api.url)).rejects.toMatchObject({
    code: "unreachable",
    message: expect.stringMatching(/certificate/),
    suggestions: [expect.stringMatching("NODE_EXTRA_CA_CERTS")],
  });
  await api.close();
});

test("http to an https node is not hubcast, or unreachable, but never hangs", async () => {
  const api = await openHttpApi({ service: new FakeService(), port: 0, tls: { cert, key } });
  const connecting = connectToNode(api.url.replace("https", "http"), { timeoutMs: 2_000 });
  await expect(connecting).rejects.toMatchObject({
    code: expect.stringMatching(/^(notHubcast|unreachable)$/),
  });
  await api.close();
});

test("a key that is none is refused at the door", async () => {
  const opening = openHttpApi({ service: new FakeService(), port: 0, tls: { cert, key: "no key" } });
  await expect(opening).rejects.toMatchObject({ code: "invalidOption", suggestions: [expect.any(String)] });
});
