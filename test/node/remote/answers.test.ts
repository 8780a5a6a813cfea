import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, test } from "vitest";
import { ERRORS } from "../../../src/core/errors.js";
import { connectToNode, type RemoteNode } from "../../../src/node/client.js";
import { FakeServedNode } from "../../fixtures/fake-served-node.js";
import { all } from "../../fixtures/http-call.js";

describe("what a node answers", () => {
  const ITEM = { id: "a", raw: "x", signature: "s", timestampMs: 1, digest: "d" };
  const sound = () => new FakeServedNode().statusNow();

  test.each<[string, object, (node: RemoteNode) => Promise<unknown>, string]>([
    ["a status of texts", { ...sound(), items: "3" }, (node) => node.status(), "items is not a number"],
    [
      "a status without parts",
      { ...sound(), sync: null },
      (node) => node.status(),
      "sync is null, not an object",
    ],
    [
      "deep inside",
      { ...sound(), gossip: { ...sound().gossip, rejected: [] } },
      (node) => node.status(),
      "gossip.rejected is a list, not a number",
    ],
    ["a list that is none", { items: "none" }, (node) => all(node.list()), "items is not a list"],
    [
      "an item without raw",
      { items: [ITEM, { ...ITEM, raw: undefined }] },
      (node) => all(node.list()),
      "items[1].raw is missing",
    ],
    ["an item of numbers", { ...ITEM, id: 7 }, (node) => node.get("a"), "id is number, not a text"],
    ["peers in an object", { peers: [] }, (node) => node.peers(), "it is object, not a list"],
    [
      "a peer of no known state",
      [{ ...new FakeServedNode().peersNow()[0], state: "asleep" }],
      (node) => node.peers(),
      "[0].state is not connected or left or lost",
    ],
    [
      "a result without status",
      { id: "a", digest: "d", timestampMs: 1 },
      (node) => node.post({ raw: "x" }),
      "status is missing",
    ],
    [
      "a receipt of words",
      {
        id: "a",
        digest: "d",
        timestampMs: 1,
        status: "held",
        visible: "d",
        receipt: { of: 1, complete: "yes", holders: [], missing: [], refused: [] },
      },
      (node) => node.post({ raw: "x" }),
      "receipt.complete is not true or false",
    ],
  ])("%s is the fault of the node, which is named", async (_what, answer, call, fault) => {
    await using server = await Answering.open(answer);
    await using node = await connectToNode(server.url);
    await expect(call(node)).rejects.toMatchObject({
      code: "notHubcast",
      message: expect.stringMatching(`^the node at ${server.url} answered something that is not .*: `),
    });
    await expect(call(node)).rejects.toThrow(`: ${fault}`);
  });

  test.each([
    ["a number", 7],
    ["a code of commands", { code: "interrupted", detail: "x" }],
    ["a code that nobody knows", { code: "constructor", detail: "x" }],
    ["no JSON", "<html>"],
  ])("a refusal that is %s is not a node's", async (_what, problem) => {
    await using server = await Answering.open(problem, 400);
    await using node = await connectToNode(server.url);
    await expect(node.peers()).rejects.toMatchObject({ code: "notHubcast" });
  });

  test("a refusal with odd parts keeps what can be kept", async () => {
    await using server = await Answering.open({ code: "conflict", detail: 7, suggestions: ["a", 7] }, 409);
    await using node = await connectToNode(server.url);
    const { meaning: message } = ERRORS.conflict;
    await expect(node.peers()).rejects.toMatchObject({ code: "conflict", message, suggestions: ["a"] });
  });

  test("a bug of the node is the node's", async () => {
    await using server = await Answering.open({ code: "bug", detail: "x" }, 500);
    await using node = await connectToNode(server.url);
    await expect(node.peers()).rejects.toMatchObject({
      code: "nodeFailed",
      message: `the node at ${server.url} failed at this call`,
    });
  });

  test.each([502, 503, 504])("a proxy that answers %i says that no node is there", async (status) => {
    await using server = await Answering.open("<html>", status);
    await using node = await connectToNode(server.url);
    await expect(node.peers()).rejects.toMatchObject({ code: "unreachable" });
  });

  test.each([
    ["an event that is no JSON", "event: item\ndata: {\n\n", "it is no JSON"],
    ["an event without an item", 'event: item\ndata: {"type":"item","eventId":"7-1"}\n\n', "item is missing"],
    ["an endless event", `data: ${"x".repeat(13_000_001)}`, "more than 13000000 characters"],
  ])("%s ends the stream", async (_what, text, message) => {
    await using server = await Answering.open(text);
    await using node = await connectToNode(server.url);
    const events = node.events()[Symbol.asyncIterator]();
    await expect(events.next()).rejects.toMatchObject({
      code: "notHubcast",
      message: expect.stringContaining(message),
    });
  });
});

/** Says of its status what a node says, and to every other call the same. */
class Answering implements AsyncDisposable {
  private constructor(readonly server: http.Server) {}

  static async open(answer: unknown, status = 200): Promise<Answering> {
    let asked = 0;
    const server = http.createServer((_request, response) => {
      const isFirst = asked++ === 0;
      response.statusCode = isFirst ? 200 : status;
      const body = isFirst ? new FakeServedNode().statusNow() : answer;
      response.end(typeof body === "string" ? body : JSON.stringify(body));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Answering(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
  }
}
