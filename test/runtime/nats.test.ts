import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { connectNats, isNatsEngine, parseNatsEngine, subscribe } from "../../src/runtime/nats.js";
import { NatsServer, natsMissing } from "../fixtures/nats-server.js";

describe("the address of an engine", () => {
  test.each([
    ["nats://localhost", ["localhost:4222"], false],
    ["nats://10.0.0.7:4333", ["10.0.0.7:4333"], false],
    ["nats://a,b:4223,[::1]:4224", ["a:4222", "b:4223", "[::1]:4224"], false],
    ["nats://a,nats://b", ["a:4222", "b:4222"], false],
    ["tls://nats.example.org/", ["nats.example.org:4222"], true],
  ])("%s", (engine, servers, tls) => {
    expect(isNatsEngine(engine)).toBe(true);
    expect(parseNatsEngine(engine)).toEqual({ servers, tls });
  });

  test.each([
    "nats://",
    "nats:4222",
    "nats://a,,b",
    "nats://a:0",
    "nats://a:70000",
    "nats://a/b",
    "nats://a b",
  ])("%s is none", (engine) => {
    expect(isNatsEngine(engine)).toBe(true);
    expect(() => parseNatsEngine(engine)).toThrow(expect.objectContaining({ code: "invalidOption" }));
  });

  test("with a password is refused, without showing it", () => {
    const refuse = () => parseNatsEngine("nats://me:secret@host");
    expect(refuse).toThrow(expect.objectContaining({ code: "invalidOption" }));
    expect(refuse).not.toThrow(/secret/);
  });

  test.each(["libp2p", "http://a", "natsy://a", ""])("%j is not of NATS", (engine) => {
    expect(isNatsEngine(engine)).toBe(false);
  });
});

describe.skipIf(natsMissing)("connecting", () => {
  const to = (url: string, credentials?: string) =>
    connectNats({
      ...parseNatsEngine(url),
      name: "test",
      timeoutMs: 1_000,
      ...(credentials && { credentials }),
    });

  test("takes any server that answers", async () => {
    await using server = await NatsServer.start();
    const connection = await to(`nats://127.0.0.1:1,127.0.0.1:${server.port}`);
    expect(connection.info?.server_name).toBe("nats");
    await connection.close();
  });

  test("nobody there: natsUnreachable, with the address and what to do", async () => {
    await expect(to("nats://127.0.0.1:1")).rejects.toMatchObject({
      code: "natsUnreachable",
      message: expect.stringContaining("127.0.0.1:1"),
      suggestions: [expect.stringContaining("nats-server -js"), expect.stringContaining("--engine")],
    });
  });

  test("somebody else there, or somebody silent: natsUnreachable", async () => {
    const servers = [
      createServer((socket) => socket.end("HTTP/1.1 400 Bad\r\n\r\n")),
      createServer(() => {}),
    ];
    try {
      for (const server of servers) {
        await once(server.listen(0, "127.0.0.1"), "listening");
        const { port } = server.address() as { port: number };
        await expect(to(`nats://127.0.0.1:${port}`)).rejects.toMatchObject({ code: "natsUnreachable" });
      }
    } finally {
      for (const server of servers) server.close();
    }
  });

  test("credentials: none, wrong ones, right ones", async () => {
    await using server = await NatsServer.start({ config: "authorization { user: me, password: secret }" });
    await expect(to(server.url)).rejects.toMatchObject({
      code: "natsRefused",
      message: expect.stringContaining("asks for credentials"),
    });
    await expect(to(server.url, "me:wrong")).rejects.toMatchObject({
      code: "natsRefused",
      message: expect.stringContaining("refused the credentials"),
    });
    await expect(to(server.url, "two words")).rejects.toMatchObject({ code: "invalidOption" });
    await (await to(server.url, "me:secret\n")).close();
  });

  test("a token", async () => {
    await using server = await NatsServer.start({ config: "authorization { token: t0ken }" });
    await expect(to(server.url, "other")).rejects.toMatchObject({ code: "natsRefused" });
    await (await to(server.url, "t0ken")).close();
  });

  test("goes on hearing when a callback throws, and tells of it", async () => {
    await using server = await NatsServer.start();
    const connection = await to(server.url);
    try {
      const heard: string[] = [];
      const take = (message: { string(): string }) => {
        if (message.string() === "bad") throw new Error("not that");
        heard.push(message.string());
      };
      subscribe(connection, "subject", take, ({ message }) => heard.push(message));
      for (const text of ["one", "bad", "two"]) connection.publish("subject", text);
      await connection.flush();
      expect(heard).toEqual(["one", "not that", "two"]);
    } finally {
      await connection.close();
    }
  });

  test("TLS where the server has none: natsRefused", async () => {
    await using server = await NatsServer.start();
    await expect(to(`tls://127.0.0.1:${server.port}`)).rejects.toMatchObject({ code: "natsRefused" });
  });

  test("TLS: with its authority, and without", async () => {
    const file = (name: string) => new URL(`../fixtures/tls/${name}`, import.meta.url).pathname;
    const tls = `tls { cert_file: "${file("cert.pem")}", key_file: "${file("key.pem")}" }`;
    await using server = await NatsServer.start({ config: tls });
    await expect(to(server.url)).rejects.toMatchObject({ code: "natsRefused" });
    const { readFile } = await import("node:fs/promises");
    const ca = await readFile(file("cert.pem"), "utf8");
    const connection = await connectNats({
      ...parseNatsEngine(`tls://localhost:${server.port}`),
      name: "t",
      ca,
    });
    await connection.close();
  });
});
