import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LIMITS } from "../../../../src/core/limits.js";
import { openNatsCluster } from "../../../../src/node/cluster/nats/index.js";
import type { BrokerEngine, BrokerListener, GossipMessage } from "../../../../src/node/cluster/port.js";
import type { EncodedEntry, PublishKind } from "../../../../src/node/replica/messages.js";
import { eventually } from "../../../fixtures/eventually.js";
import { freePort } from "../../../fixtures/free-port.js";
import { NatsServer, natsMissing } from "../../../fixtures/nats-server.js";

/** Writes down what its engine tells. */
class Recorder implements BrokerListener {
  readonly items: string[] = [];
  readonly heard: string[] = [];
  readonly reasons: string[] = [];
  entries: readonly EncodedEntry[] = [];
  isUp = false;
  isLeader = false;
  isLogUp = false;

  broker(isUp: boolean): void {
    this.isUp = isUp;
  }

  logUp(): void {
    this.isLogUp = true;
  }

  logDown(reason: string): void {
    this.isLogUp = false;
    this.reasons.push(reason);
  }

  gossip(message: GossipMessage): void {
    this.items.push(`${Buffer.from(message.bytes)}`);
    message.acknowledge("accept");
  }

  leader(isLeader: boolean): void {
    this.isLeader = isLeader;
  }

  registry(entries: Recorder["entries"]): void {
    this.entries = entries;
  }

  published(kind: PublishKind, payload: Uint8Array): void {
    this.heard.push(`${kind} ${Buffer.from(payload)}`);
  }

  told(peer: string, frame: Uint8Array): void {
    this.heard.push(`${peer} ${Buffer.from(frame)}`);
  }

  get texts(): string[] {
    return this.entries.map(({ record }) => Buffer.from(record).toString()).sort();
  }
}

/** Publishes with headers that no client library sends. */
async function publishRaw(port: number, subject: string, headers: string, payload: string): Promise<void> {
  const head = `NATS/1.0${headers}\r\n\r\n`;
  const sizes = `${head.length} ${head.length + payload.length}`;
  const socket = connect(port, "127.0.0.1");
  socket.write(`CONNECT {"verbose":false,"headers":true}\r\n`);
  socket.write(`HPUB ${subject} ${sizes}\r\n${head}${payload}\r\nPING\r\n`);
  let answer = "";
  for await (const chunk of socket) {
    answer += chunk;
    if (answer.includes("PONG")) break;
  }
}

type Opened = BrokerEngine & { readonly told: Recorder };

describe.skipIf(natsMissing)("the engine NATS", () => {
  let server: NatsServer;
  const opened: BrokerEngine[] = [];

  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterAll(async () => {
    await Promise.all(opened.map((engine) => engine.close()));
    await server[Symbol.asyncDispose]();
  });

  async function open(cluster: string, port = server.port): Promise<Opened> {
    const told = new Recorder();
    const engine = await openNatsCluster({
      ...{ cluster, listener: told, servers: [`127.0.0.1:${port}`], tls: false },
      ...{ retentionMs: 3_600_000, privateKey: randomBytes(32) },
    });
    opened.push(engine);
    return Object.assign(engine, { told });
  }

  async function openUp(cluster: string): Promise<Opened> {
    const engine = await open(cluster);
    await eventually(() => engine.told.isUp && engine.told.isLogUp);
    return engine;
  }

  test("hands what is appended to the log to all others once, also to those that come later, and not to its author", async () => {
    const [author, other] = [await openUp("log"), await openUp("log")];
    const largest = "x".repeat(LIMITS.gossipBytesMax);
    await author.log.append(Buffer.from("hello"));
    await author.log.append(Buffer.from(largest));
    const late = await openUp("log");
    for (const { told } of [other, late]) {
      await eventually(() => told.items.length === 2);
      expect(told.items).toEqual(["hello", largest]);
    }
    expect(author.told.items).toEqual([]);
  });

  test.each([
    ["a name that is none", "\r\nBad Name: x"],
    ["the status of a heartbeat", " 100 Idle"],
    ["the status of an error", " 503"],
  ])("passes over a message of the log whose headers have %s", async (_, headers) => {
    const cluster = `headers${headers.length}`;
    const [author, other] = [await openUp(cluster), await openUp(cluster)];
    await publishRaw(server.port, `hubcast.nodes.1.${cluster}.items.x`, headers, "odd");
    await author.log.append(Buffer.from("after"));
    const late = await openUp(cluster);
    for (const { told } of [other, late]) {
      await eventually(() => told.items.length === 2);
      expect(told.items).toEqual(["odd", "after"]);
      expect(told.reasons).toEqual([]);
    }
  });

  test("keeps the last record of each member in the registry", async () => {
    const [one, two] = [await openUp("registry"), await openUp("registry")];
    one.renew(Buffer.from("one"));
    two.renew(Buffer.from("two"));
    one.renew(Buffer.from("one again"));
    await eventually(() => {
      two.readRegistry();
      return two.told.texts.join() === "one again,two";
    });
    expect(two.told.entries.every(({ ageMs }) => ageMs >= 0)).toBe(true);
    await one.close();
    await eventually(() => {
      two.readRegistry();
      return two.told.entries.length === 2;
    });
  });

  test("reads the registry, and elects a leader, where headers cannot be read", async () => {
    const one = await openUp("entries");
    one.renew(Buffer.from("one"));
    for (const key of ["member.odd", "leader"])
      await publishRaw(server.port, `$KV.hubcast-nodes-entries.${key}`, "\r\nBad Name: x", "");
    await eventually(() => {
      one.readRegistry();
      return one.told.texts.join() === ",one";
    });
    await eventually(() => one.told.isLeader);
    expect(one.told.isUp).toBe(true);
    expect(one.told.reasons).toEqual([]);
  });

  test("publishes to all others, and tells one", async () => {
    const [one, two, three] = [await openUp("words"), await openUp("words"), await openUp("words")];
    one.publish("question", Buffer.from("who?"));
    two.tell(one.id, Buffer.from("me"));
    await eventually(() => one.told.heard.length + two.told.heard.length + three.told.heard.length === 3);
    expect([one, two, three].map(({ told }) => told.heard)).toEqual([
      [`${two.id} me`],
      ["question who?"],
      ["question who?"],
    ]);
  });

  test("leaves out a message that is too large for the server", async () => {
    const [one, two] = [await openUp("large"), await openUp("large")];
    one.publish("news", Buffer.alloc(1_048_577));
    one.publish("news", Buffer.from("after"));
    await eventually(() => two.told.heard.length > 0);
    expect(two.told.heard).toEqual(["news after"]);
  });

  test("tells nobody by an id that is a subject of its own", async () => {
    const [one, two] = [await openUp("subjects"), await openUp("subjects")];
    for (const peer of ["*", ">", `${two.id}.>`, `x.${two.id}`, "", " ", "a b", "\r\nPUB x 0\r\n"])
      one.tell(peer, Buffer.from("bad"));
    one.tell(two.id, Buffer.from("good"));
    await eventually(() => two.told.heard.length > 0);
    expect(two.told.heard).toEqual([`${one.id} good`]);
  });

  test("elects one leader, and another when that one is gone", async () => {
    const all = [await openUp("leader"), await openUp("leader"), await openUp("leader")];
    const leaders = () => all.filter(({ told }) => told.isLeader);
    const speak = setInterval(() => leaders()[0]?.publish("news", Buffer.from("here")), 200);
    try {
      await eventually(() => leaders().length === 1);
      const [first] = leaders();
      await first!.close();
      await eventually(() => leaders().length === 2 && leaders().includes(first!));
    } finally {
      clearInterval(speak);
    }
  });

  test("opens while no server is there, says why, and is there when the server is", async () => {
    const port = await freePort();
    const engine = await open("early", port);
    await eventually(() => engine.told.reasons.length === 1);
    expect(engine.told.reasons[0]).toContain(`127.0.0.1:${port}`);
    expect(engine.log.isUp).toBe(false);
    await expect(engine.log.append(Buffer.from("x"))).rejects.toMatchObject({ code: "natsAway" });
    await using late = await NatsServer.start({ port });
    await eventually(() => engine.told.isUp && engine.told.isLogUp);
    await engine.log.append(Buffer.from("x"));
    await late.stop();
    await eventually(() => !engine.told.isUp && !engine.told.isLogUp);
    await engine.close();
  });
});
