import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { HubcastError } from "../../src/core/errors.js";
import type { NodeEvent } from "../../src/node/broadcast.js";
import { connectToNode, openNode } from "../../src/node/client.js";
import { FakeServedNode } from "../fixtures/fake-served-node.js";
import { all, TestApi, until } from "../fixtures/http-call.js";

test("post, get, list, status and peers say what the node says", async () => {
  await using api = await TestApi.open();
  await using node = await connectToNode(api.api.url);
  const id = "a/é ?..";
  const result = await node.post({ id, raw: "x" });
  expect(result).toMatchObject({ id, status: "accepted" });
  expect(await node.post({ id, raw: "x" })).toMatchObject({ status: "held" });
  expect(await node.get(id)).toEqual(api.node.get(id));
  expect(await node.get("none")).toBeUndefined();
  expect(await node.get("")).toBeUndefined();
  expect(await all(node.list())).toEqual([api.node.get(id)]);
  expect(await node.status()).toEqual(api.node.statusNow());
  expect(await node.status({ sinceMs: 120_000 })).toMatchObject({ fingerprintSinceMs: 120_000 });
  expect(await node.peers()).toEqual(api.node.peersNow());
});

test.each(["", "/"])("a URL may leave out the scheme and end with %j", async (end) => {
  await using api = await TestApi.open();
  await using node = await connectToNode(`127.0.0.1:${api.port}${end}`);
  expect(node.url).toBe(api.api.url);
});

test("a list is read page by page, to its limit", async () => {
  await using api = await TestApi.open();
  await using node = await connectToNode(api.api.url);
  for (let id = 0; id < 350; id++) await api.node.accept({ id: String(id), raw: "x" });
  const ids = (await all(node.list())).map(({ id }) => id);
  expect(ids).toEqual([...api.node.items.keys()]);
  expect(await all(node.list({ limit: 120 }))).toHaveLength(120);
  expect(await all(node.list({ untilMs: 1_000 }))).toEqual([]);
  expect(await all(node.list({ sinceMs: Date.now() + 60_000 }))).toEqual([]);
});

test("a page that would take too much memory is asked for in parts", async () => {
  await using api = await TestApi.open();
  await using node = await connectToNode(api.api.url, { timeoutMs: 30_000 });
  for (let id = 0; id < 75; id++) api.node.put({ id: `${id}`, raw: "x".repeat(1_000_000), timestampMs: id });
  let count = 0;
  for await (const { id } of node.list()) expect(id).toBe(String(count++));
  expect(count).toBe(75);
});

test("posts of one moment are one request, and each has the outcome that it would have alone", async () => {
  await using api = await TestApi.open();
  await using alone = await TestApi.open();
  await using node = await connectToNode(api.api.url);
  await using other = await connectToNode(alone.api.url);
  const drafts = [
    { id: "a", raw: "x", timestampMs: 1 },
    { id: "a", raw: "other", timestampMs: 2 },
    { id: "a", raw: "x", timestampMs: 1 },
    { id: "line\nbreak", raw: "x" },
    { id: "b", raw: "line\nbreak \u2028", timestampMs: 3 },
    { id: "c", raw: "x", signature: "0".repeat(32) },
  ];
  const paths: string[] = [];
  const note = (message: unknown) => paths.push((message as { request: { path: string } }).request.path);
  subscribe("undici:request:create", note);
  const joined = await Promise.allSettled(drafts.map((draft) => node.post(draft)));
  unsubscribe("undici:request:create", note);
  expect(paths).toEqual(["/v1/items?results=full"]);
  const single: PromiseSettledResult<unknown>[] = [];
  for (const draft of drafts) single.push(...(await Promise.allSettled([other.post(draft)])));
  expect(joined.map(({ status }) => status)).toEqual([
    ...["fulfilled", "rejected", "fulfilled", "rejected", "fulfilled", "rejected"],
  ]);
  for (const [index, outcome] of joined.entries()) {
    expect(outcome).toEqual(single[index]);
    if (outcome.status === "rejected") {
      const { reason } = single[index] as PromiseRejectedResult;
      expect(fieldsOf(outcome.reason)).toEqual(fieldsOf(reason));
    }
  }
});

test("posts that come alone for a while are sent without waiting for others, and are joined again", async () => {
  await using api = await TestApi.open();
  await using node = await connectToNode(api.api.url);
  const paths: string[] = [];
  const note = (message: unknown) => paths.push((message as { request: { path: string } }).request.path);
  const post = (id: string) => node.post({ id, raw: "x" });
  for (let n = 0; n < 20; n++) await post(`${n}`);
  subscribe("undici:request:create", note);
  await Promise.all(["a", "b", "c"].map(post));
  await Promise.all(["d", "e", "f"].map(post));
  unsubscribe("undici:request:create", note);
  expect(paths).toEqual(["/v1/items", "/v1/items?results=full", "/v1/items?results=full"]);
});

const fieldsOf = ({ code, message, suggestions }: HubcastError) => ({ code, message, suggestions });

test("posts that wait otherwise, may not be repeated, or can be aborted, are not joined with others", async () => {
  await using api = await TestApi.open();
  await using node = await connectToNode(api.api.url);
  const { signal } = new AbortController();
  const results = await Promise.all([
    ...["a", "b"].map((id) => node.post({ id, raw: "x" })),
    ...["c", "d"].map((id) => node.post({ id, raw: "x" }, { wait: 1 })),
    node.post({ raw: "no id" }),
    node.post({ id: "e", raw: "x" }, { signal }),
  ]);
  expect(results.map(({ receipt }) => receipt !== undefined)).toEqual([
    false,
    false,
    true,
    true,
    false,
    false,
  ]);
  expect(api.node.items.size).toBe(6);
});

test("thousands of posts of one moment are several requests of bounded size", async () => {
  await using api = await TestApi.open();
  await using node = await connectToNode(api.api.url);
  const drafts = Array.from({ length: 3_000 }, (_, n) => ({
    id: `${n}`,
    raw: n % 100 ? "x" : "x".repeat(300_000),
  }));
  const results = await Promise.all(drafts.map((draft) => node.post(draft)));
  expect(results.map(({ id }) => id)).toEqual(drafts.map(({ id }) => id));
});

test("posts of one moment fail together with their request", async () => {
  const server = http.createServer((_request, response) => response.end("{}\n")).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await using node = await openNode(url);
  const post = () => Promise.allSettled(["a", "b"].map((id) => node.post({ id, raw: "x" })));
  const codes = async () => (await post()).map((outcome) => (outcome as PromiseRejectedResult).reason.code);
  expect(await codes()).toEqual(["notHubcast", "notHubcast"]);
  server.close();
  server.closeAllConnections();
  await once(server, "close");
  expect(await codes()).toEqual(["unreachable", "unreachable"]);
});

test("the deadline of an item's holders is not one of the item alone", async () => {
  const server = http.createServer(async (_request, response) => {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    response.writeHead(404).end();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await using node = await openNode(url, { timeoutMs: 500 });
  await expect(node.show("a")).rejects.toMatchObject({ code: "deadline" });
  server.close();
  server.closeAllConnections();
});

test("wait and its deadline reach the node", async () => {
  await using api = await TestApi.open();
  await using node = await connectToNode(api.api.url);
  const { receipt } = await node.post({ raw: "x" }, { wait: "all", timeoutMs: 70 });
  expect(receipt?.complete).toBe(true);
  expect(api.node.lastPostOptions).toMatchObject({ wait: "all", timeoutMs: 70 });
});

test("a refusal comes back as the error it was", async () => {
  await using api = await TestApi.open();
  await using node = await connectToNode(api.api.url);
  await node.post({ id: "a", raw: "x" });
  const conflict = node.post({ id: "a", raw: "y" });
  await expect(conflict).rejects.toBeInstanceOf(HubcastError);
  await expect(conflict).rejects.toMatchObject({
    code: "conflict",
    message: expect.stringMatching("held with another raw"),
    suggestions: ["Post under a new id."],
    exitCode: 4,
  });
});

test("the token is sent with calls and streams", async () => {
  await using api = await TestApi.open({ tokens: [{ token: "secret", role: "post" }] });
  await expect(connectToNode(api.api.url)).rejects.toMatchObject({ code: "unauthorized" });
  await using node = await connectToNode(api.api.url, { token: "secret" });
  expect(await all(node.postMany([{ id: "a", raw: "x" }]))).toEqual([{ id: "a", status: "accepted" }]);
  for await (const event of node.events({ sinceMs: 0 })) {
    expect(event.type).toBe("item");
    break;
  }
});

test("a function gives the token of the moment, so that a renewed one is sent", async () => {
  await using api = await TestApi.open({ tokens: [{ token: "first", role: "post" }] });
  let token = "first";
  await using node = await connectToNode(api.api.url, { token: () => token });
  api.api.renew({ tokens: [{ token: "second", role: "post" }] });
  await expect(node.status()).rejects.toMatchObject({ code: "unauthorized" });
  token = "second";
  await node.status();
  token = "two words";
  await expect(node.status()).rejects.toMatchObject({
    code: "invalidOption",
    message: expect.not.stringContaining("two words"),
  });
});

test("nothing at the address is unreachable, with advice", async () => {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await expect(connectToNode(`http://127.0.0.1:${port}`)).rejects.toMatchObject({
    code: "unreachable",
    message: `no node answers at http://127.0.0.1:${port} (connection refused)`,
    suggestions: [expect.stringMatching("broadcast start"), expect.stringMatching("--url")],
  });
});

test.each(["", "ftp://127.0.0.1", "http://", "http://a b", "http://user@127.0.0.1"])(
  "%j is no URL of a node",
  async (url) => {
    await expect(connectToNode(url)).rejects.toMatchObject({ code: "invalidOption" });
  },
);

test.each([
  { token: "two\nlines" },
  { token: "" },
  { timeoutMs: 0 },
  { timeoutMs: Number.NaN },
  { ca: 7 },
  { signal: {} },
  { tokn: "x" },
  null,
])("connects with no such options: %j", async (options) => {
  const connecting = connectToNode("http://127.0.0.1:1", options as never);
  await expect(connecting).rejects.toMatchObject({ code: "invalidOption" });
});

test.each<[string, (socket: net.Socket) => void]>([
  ["another web server", (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")],
  ["another JSON service", (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")],
  [
    "a server without that path",
    (socket) => socket.end("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
  ],
  ["a redirect", (socket) => socket.end("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")],
  ["something that is not HTTP", (socket) => socket.end("SSH-2.0-OpenSSH_9\r\n")],
  ["something that hangs up", (socket) => socket.destroy()],
])("%s is not a hubcast node", async (_name, answer) => {
  await using server = await Impostor.open(answer);
  await expect(connectToNode(server.url)).rejects.toMatchObject({ code: "notHubcast" });
});

test("a node that does not answer meets the deadline", async () => {
  await using server = await Impostor.open(() => {});
  await expect(connectToNode(server.url, { timeoutMs: 50 })).rejects.toMatchObject({ code: "deadline" });
});

test("an answer that breaks off is a lost connection", async () => {
  let calls = 0;
  await using server = await Impostor.open((socket) => {
    const status = JSON.stringify({ name: "n", id: "i", cluster: "c", version: "v", fingerprint: "f" });
    if (calls++ === 0)
      socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${status.length}\r\nConnection: close\r\n\r\n${status}`);
    else socket.end("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[");
  });
  await using node = await connectToNode(server.url);
  await expect(node.peers()).rejects.toMatchObject({ code: "connectionLost" });
});

test("an aborted signal ends a call with its reason", async () => {
  await using api = await TestApi.open();
  api.node.gate = new Promise(() => {});
  await using node = await connectToNode(api.api.url);
  const stop = new AbortController();
  const posting = node.post({ raw: "x" }, { wait: 1, signal: stop.signal });
  await until("it runs", () => api.node.lastPostOptions !== undefined);
  stop.abort(new Error("enough"));
  await expect(posting).rejects.toThrow("enough");
  await expect(connectToNode(api.api.url, { signal: stop.signal })).rejects.toThrow("enough");
});

test("a kept connection that the node has closed is replaced unseen", async () => {
  await using api = await TestApi.open();
  const { port } = api;
  const node = await connectToNode(api.api.url);
  await api.api.close();
  await using again = await TestApi.open({ port });
  expect(await node.peers()).toEqual(again.node.peersNow());
  await node.close();
});

test("events come as objects, and end when the signal aborts", async () => {
  await using api = await TestApi.open();
  await using node = await connectToNode(api.api.url);
  await node.post({ id: "old", raw: "x" });
  const stop = new AbortController();
  const seen: NodeEvent[] = [];
  for await (const event of node.events({ sinceMs: 0, signal: stop.signal })) {
    seen.push(event);
    if (event.type === "caught-up") await node.post({ id: "new", raw: "x" });
    if (seen.length === 3) stop.abort();
  }
  expect(seen.map(({ type }) => type)).toEqual(["item", "caught-up", "item"]);
  expect(seen[2]).toEqual({ type: "item", eventId: "7-2", item: api.node.get("new") });
  await until("it is unsubscribed", () => api.node.subscriberCount === 0);
});

test("events resume behind an id, and an unknown one is gone", async () => {
  await using api = await TestApi.open();
  await using node = await connectToNode(api.api.url);
  for (const id of ["1", "2"]) await node.post({ id, raw: "x" });
  for await (const event of node.events({ after: "7-1" })) {
    expect(event.eventId).toBe("7-2");
    break;
  }
  const events = node.events({ after: "nope" })[Symbol.asyncIterator]();
  await expect(events.next()).rejects.toMatchObject({ code: "eventsGone" });
});

test("a reader told that it is too slow gets eventsGone", async () => {
  await using api = await TestApi.open();
  api.node.backlogMax = 5;
  await using node = await connectToNode(api.api.url);
  const events = node.events()[Symbol.asyncIterator]();
  const first = events.next();
  await until("it is subscribed", () => api.node.subscriberCount === 1);
  const item = { id: "a", raw: "x", signature: "s", timestampMs: 2, digest: "d" };
  for (let told = 0; told < 20; told++) api.node.tell({ type: "item", item });
  await expect(first).rejects.toMatchObject({ code: "eventsGone" });
});

test("events of a node that stops end with connectionLost, for whoever wants the end", async () => {
  await using api = await TestApi.open();
  await using node = await connectToNode(api.api.url);
  const events = node.events({ reconnect: false })[Symbol.asyncIterator]();
  const first = events.next();
  const lost = expect(first).rejects.toMatchObject({ code: "connectionLost" });
  await until("it is subscribed", () => api.node.subscriberCount === 1);
  await api.api.close();
  await lost;
});

test.each([
  ["with an id is sent once more", { id: "a", raw: "x" }, 2],
  ["without an id is not: the node would make two", { raw: "x" }, 1],
])("a post %s when the connection breaks", async (_what, draft, posts) => {
  let posted = 0;
  const server = http.createServer((request, response) => {
    if (request.method === "GET") response.end(JSON.stringify(new FakeServedNode().statusNow()));
    else if (++posted === 1) request.socket.destroy();
    else
      response.end(
        JSON.stringify({ id: "a", digest: "d", timestampMs: 1, status: "accepted", visible: "d" }),
      );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const node = await connectToNode(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  const posting = node.post(draft);
  if (posts === 2) expect(await posting).toMatchObject({ status: "accepted" });
  else await expect(posting).rejects.toMatchObject({ code: "connectionLost" });
  expect(posted).toBe(posts);
  await node.close();
  server.close();
});

test("closing the client ends its events, and refuses further calls", async () => {
  await using api = await TestApi.open();
  const node = await connectToNode(api.api.url);
  const first = node.events()[Symbol.asyncIterator]().next();
  await until("it is subscribed", () => api.node.subscriberCount === 1);
  await node.close();
  await node.close();
  expect(await first).toMatchObject({ done: true });
  await expect(node.status()).rejects.toMatchObject({ code: "connectionLost" });
  await until("it is unsubscribed", () => api.node.subscriberCount === 0);
});

test("postMany sends while it receives, in order", async () => {
  await using api = await TestApi.open();
  await using node = await connectToNode(api.api.url);
  async function* drafts() {
    for (let id = 0; id < 20_000; id++) yield { id: String(id), raw: "é".repeat(100) };
  }
  let count = 0;
  for await (const { id, status } of node.postMany(drafts())) {
    expect([id, status]).toEqual([String(count++), "accepted"]);
  }
  expect(count).toBe(20_000);
});

test("postMany ends with what its drafts throw", async () => {
  await using api = await TestApi.open();
  await using node = await connectToNode(api.api.url);
  function* drafts() {
    yield { raw: "x" };
    throw new Error("no more drafts");
  }
  await expect(all(node.postMany(drafts()))).rejects.toThrow("no more drafts");
});

test("an error of the drafts of postMany is the caller's own, whatever code it has", async () => {
  await using api = await TestApi.open();
  await using node = await connectToNode(api.api.url);
  const fault = Object.assign(new Error("no such file"), { code: "ENOENT" });
  const drafts = async function* () {
    yield { id: "a", raw: "x" };
    throw fault;
  };
  const thrown = await all(node.postMany(drafts())).catch((error) => error);
  expect(thrown).toBe(fault);
});

test("a token function that gives nothing ends with the deadline, the signal, or the client", async () => {
  await using api = await TestApi.open({ tokens: [{ token: "secret", role: "post" }] });
  let asked = 0;
  const silent = () => {
    asked++;
    return new Promise<string>(() => {});
  };
  const open = (timeoutMs: number) => openNode(api.api.url, { token: silent, timeoutMs });
  await using hasty = await open(20);
  await expect(hasty.status()).rejects.toMatchObject({ code: "deadline" });
  await expect(all(hasty.events())).rejects.toMatchObject({ code: "deadline" });
  const node = await open(600_000);
  const abort = new AbortController();
  const calls = [
    node.post({ raw: "x" }, { signal: abort.signal }),
    all(node.postMany([{ raw: "x" }], { signal: abort.signal })),
  ];
  const waiting = [node.status(), all(node.postMany([{ raw: "x" }]))];
  for (const call of [...calls, ...waiting]) call.catch(() => {});
  await until("all have asked for a token", () => asked === 6);
  abort.abort(new Error("enough"));
  for (const call of calls) await expect(call).rejects.toThrow("enough");
  await node.close();
  for (const call of waiting) await expect(call).rejects.toMatchObject({ code: "connectionLost" });
});

test("leaving postMany early leaves nothing open", async () => {
  await using api = await TestApi.open();
  await using node = await connectToNode(api.api.url);
  let over = false;
  function* drafts() {
    try {
      for (;;) yield { raw: "x".repeat(10_000) };
    } finally {
      over = true;
    }
  }
  for await (const line of node.postMany(drafts())) {
    expect(line.status).toBe("accepted");
    break;
  }
  await until("no more drafts are taken", () => over);
});

test("a proxy may put the node below a path", async () => {
  await using api = await TestApi.open();
  const proxy = http.createServer((request, response) => {
    void api.get(request.url!.replace("/node", "")).then(({ text }) => response.end(text));
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const node = await connectToNode(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}/node/`);
  expect(await node.peers()).toEqual(api.node.peersNow());
  await node.close();
  proxy.close();
});

/** Something else that listens. */
class Impostor implements AsyncDisposable {
  private constructor(readonly server: net.Server) {}

  static async open(answer: (socket: net.Socket) => void): Promise<Impostor> {
    const server = net.createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => answer(socket));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Impostor(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.close();
  }
}
