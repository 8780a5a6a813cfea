import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connectToHub } from "../../src/hub/client/index.js";
import { type Hub, startHub } from "../../src/hub/index.js";
import { FIRST, RENEWED, shownName } from "../fixtures/certificates.js";
import { answerTurns } from "../fixtures/client-hellos.js";
import { eventually } from "../fixtures/eventually.js";

const { cert, key } = FIRST;

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
  await expect(untrusted).rejects.toMatchObject({ code: "certificateRefused" });
  const otherName = connectToHub(hub.address, {
    tls: { ca: cert, servername: "elsewhere" },
    token: "secret",
  });
  await expect(otherName).rejects.toMatchObject({ code: "certificateRefused" });
  const plain = connectToHub(hub.address, { token: "secret", connectTimeoutMs: 2_000 });
  const suggestions = expect.arrayContaining([expect.stringContaining("talks TLS")]);
  await expect(plain).rejects.toMatchObject({ code: "notHubcast", suggestions });
  const { connections, clients, closed } = await eventually(() => {
    const stats = hub.stats();
    return stats.closed.tlsFailed !== undefined && stats.clients === 0 ? stats : undefined;
  });
  expect([connections, clients]).toEqual([Object.values(closed).reduce((sum, count) => sum + count), 0]);
});

test("another certificate and another token are taken from then on, and who is connected stays", async () => {
  const options = { tls: { ca: cert, servername: "localhost" }, token: "secret" };
  await using before = await connectToHub(hub.address, options);
  const expiredAtMs = hub.stats().certificateExpiresAtMs;
  hub.renew({ tls: RENEWED, token: "another" });
  expect(await shownName(hub.port)).toBe("renewed");
  expect(hub.stats().certificateExpiresAtMs).not.toBe(expiredAtMs);
  const renewed = { tls: { ca: RENEWED.cert, servername: "localhost" } };
  await expect(connectToHub(hub.address, { ...renewed, token: "secret" })).rejects.toMatchObject({
    code: "unauthorized",
  });
  await using after = await connectToHub(hub.address, { ...renewed, token: "another" });
  expect(await before.relay([after.id], Buffer.from("hello"), { receipt: true })).toMatchObject({
    reached: 1,
  });

  expect(() => hub.renew({ tls: { cert, key: RENEWED.key } })).toThrow("cannot be used");
  expect(() => hub.renew({ token: "" })).toThrow("token has 0 bytes");
  expect(await shownName(hub.port)).toBe("renewed");
});

test("handshakes that begin at the same moment leave turns of the event loop to others", async () => {
  const answeredAt = await answerTurns(hub.port, 20);
  expect(answeredAt).toHaveLength(20);
  expect(answeredAt.at(-1)! - answeredAt[0]!).toBeGreaterThan(2 * 18);
});

test("who sends nothing is closed, and counted", async () => {
  const silent = connect(hub.port, "127.0.0.1");
  silent.resume();
  await once(silent, "close");
  expect(hub.stats().closed.tlsFailed).toBe(1);
});
