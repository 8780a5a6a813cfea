import { readFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connectToHub } from "../../src/hub/client.js";
import { type Hub, startHub } from "../../src/hub/index.js";

const cert = readFileSync(new URL("../fixtures/tls/cert.pem", import.meta.url));
const key = readFileSync(new URL("../fixtures/tls/key.pem", import.meta.url));

let hub: Hub;
beforeEach(async () => {
  hub = await startHub({ port: 0, tls: { cert, key }, token: "secret", handshakeTimeoutMs: 1_000 });
});
afterEach(() => hub.close());

test("a hub with a certificate talks TLS, large messages and all", async () => {
  const options = { tls: { ca: cert, servername: "localhost" }, token: "secret" };
  await using a = await connectToHub(hub.address, options);
  await using b = await connectToHub(hub.address, options);
  const payload = Buffer.alloc(1_000_000, "abc");
  const receiving = (async () => {
    let count = 0;
    for await (const message of b.messages()) {
      expect(message.payload.equals(payload)).toBe(true);
      count += 1;
      if (count === 20) return count;
    }
    return count;
  })();
  const sending = Array.from({ length: 20 }, () => a.relay([b.id], payload, { receipt: true }));
  expect((await Promise.all(sending)).every((receipt) => receipt?.reached === 1)).toBe(true);
  expect(await receiving).toBe(20);
});

test("a certificate that is not trusted, and a client without TLS, are refused", async () => {
  const untrusted = connectToHub(hub.address, { tls: true, token: "secret" });
  await expect(untrusted).rejects.toMatchObject({ code: "unreachable" });
  const plain = connectToHub(hub.address, { token: "secret", connectTimeoutMs: 2_000 });
  const suggestions = expect.arrayContaining([expect.stringContaining("talks TLS")]);
  await expect(plain).rejects.toMatchObject({ code: "notHubcast", suggestions });
});
