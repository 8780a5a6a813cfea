import { describe, expect, test } from "vitest";
import { connectToNode, type RemoteNode } from "../../../src/node/client.js";
import { TestApi, until } from "../../fixtures/http-call.js";

describe("events of a node that restarts", () => {
  test("go on behind the last one while the node knows the place", async () => {
    await using api = await TestApi.open();
    await using node = await connectToNode(api.api.url);
    const following = follow(node, { sinceMs: 0 });
    await until("it has caught up", () => following.seen.length === 1);
    await node.post({ id: "1", raw: "x" });
    await until("it is told", () => following.seen.length === 2);
    await api.api.close();
    await until("it is noticed", () => following.states.includes("lost"));
    // The same run of the node behind another socket: a cut of the network.
    await api.node.accept({ id: "2", raw: "x" });
    await using _back = await TestApi.open({ port: api.port, node: api.node });
    await until("the missed one is told", () => following.seen.length === 3);
    expect(following.seen).toEqual(["caught-up", "1", "2"]);
    expect(following.states).toEqual(["lost", "back"]);
    await following.stop();
  });

  test.each([0, undefined])("list again, and tell what is new, with sinceMs %s", async (sinceMs) => {
    await using api = await TestApi.open();
    api.node.put({ id: "before", raw: "x", timestampMs: Date.now() - 60_000 });
    await using node = await connectToNode(api.api.url);
    const following = follow(node, sinceMs === undefined ? {} : { sinceMs });
    await until("it is subscribed", () => api.node.subscriberCount === 1);
    await node.post({ id: "1", raw: "x" });
    await until("it is told", () => following.seen.includes("1"));
    await api.api.close();
    // A new run with what the old one held; the first of the new items is there before the client is back.
    api.node.epoch = 8;
    await api.node.accept({ id: "2", raw: "x" });
    await using back = await TestApi.open({ port: api.port, node: api.node });
    await until("the missed one is told", () => following.seen.includes("2"));
    await node.post({ id: "3", raw: "x" });
    await until("the new one is told", () => following.seen.includes("3"));
    const asked = sinceMs === undefined ? [] : ["before", "caught-up"];
    expect(following.seen).toEqual([...asked, "1", "2", "3"]);
    expect(back.port).toBe(api.port);
    await following.stop();
  });

  test("from now on leave out what is there already, stamped ahead or not", async () => {
    await using api = await TestApi.open();
    api.node.put({ id: "ahead", raw: "x", timestampMs: Date.now() + 60_000 });
    await using node = await connectToNode(api.api.url);
    const following = follow(node, {});
    await until("it is subscribed", () => api.node.subscriberCount === 1);
    await node.post({ id: "1", raw: "x" });
    await until("it is told", () => following.seen.length > 0);
    expect(following.seen).toEqual(["1"]);
    await following.stop();
  });

  test("are told once when peers bring back what a node has lost", async () => {
    await using api = await TestApi.open();
    await using node = await connectToNode(api.api.url);
    const following = follow(node, {});
    await until("it is subscribed", () => api.node.subscriberCount === 1);
    await node.post({ id: "1", raw: "x" });
    await until("it is told", () => following.seen.includes("1"));
    await api.api.close();
    await using back = await TestApi.open({ port: api.port });
    back.node.epoch = 8;
    await until("it is back", () => back.node.subscriberCount === 1);
    back.node.put({ id: "older", raw: "x", timestampMs: Date.now() - 600_000 });
    back.node.put(api.node.get("1")!);
    back.node.put({ id: "2", raw: "x", timestampMs: Date.now() });
    await until("the new one is told", () => following.seen.includes("2"));
    expect(following.seen).toEqual(["1", "2"]);
    await following.stop();
  });

  test.each([
    ["from now on", () => ({})],
    ["from a time on", () => ({ sinceMs: Date.now() })],
    ["behind an event", () => ({ after: "7-1" })],
  ])("tell what comes later and is stamped earlier, %s", async (_from, options) => {
    await using api = await TestApi.open();
    const early = (id: string) => ({ id, raw: "x", timestampMs: Date.now() - 100_000 });
    api.node.put(early("before"));
    await using node = await connectToNode(api.api.url);
    const following = follow(node, options());
    await until("it is subscribed", () => api.node.subscriberCount === 1);
    api.node.put(early("1"));
    await until("it is told", () => following.seen.includes("1"));
    await api.api.close();
    await using back = await TestApi.open({ port: api.port });
    back.node.epoch = 8;
    back.node.put(early("2"));
    await until("the missed one is told", () => following.seen.includes("2"));
    back.node.put(early("3"));
    back.node.put(api.node.get("1")!);
    if (!("after" in options())) back.node.put(api.node.get("before")!);
    back.node.put(early("4"));
    await until("the last one is told", () => following.seen.includes("4"));
    expect(following.seen.filter((told) => told !== "caught-up")).toEqual(["1", "2", "3", "4"]);
    await following.stop();
  });

  test("tell that an item is seen again instead of its rival, also when it was told before", async () => {
    await using api = await TestApi.open();
    await using node = await connectToNode(api.api.url);
    const following = follow(node, { sinceMs: 0 });
    await until("it has caught up", () => following.seen.length === 1);
    const earlier = await api.node.accept({ id: "1", raw: "earlier" });
    await until("it is told", () => following.seen.includes("1"));
    const item = api.node.get("1")!;
    await api.api.close();
    await using back = await TestApi.open({ port: api.port });
    back.node.epoch = 8;
    back.node.put({ id: "1", raw: "later", timestampMs: earlier.timestampMs + 1 });
    await until("the rival is told", () => following.seen.length === 3);
    const rival = back.node.get("1")!;
    back.node.tell({ type: "replaced", item, previous: rival });
    await until("the change is told", () => following.seen.length === 4);
    expect(following.seen).toEqual(["caught-up", "1", "1", "replaced"]);
    await following.stop();
  });

  test("end when what answers now is no node, or wants a token", async () => {
    const api = await TestApi.open();
    await using node = await connectToNode(api.api.url);
    const following = follow(node, {});
    await until("it is subscribed", () => api.node.subscriberCount === 1);
    await api.api.close();
    await using _other = await TestApi.open({ port: api.port, tokens: [{ token: "secret", role: "post" }] });
    await expect(following.ended).rejects.toMatchObject({ code: "unauthorized" });
  });

  test("end with the client, also while it waits to connect again", async () => {
    const api = await TestApi.open();
    const node = await connectToNode(api.api.url);
    const following = follow(node, {});
    await until("it is subscribed", () => api.node.subscriberCount === 1);
    await api.api.close();
    await until("it is noticed", () => following.states.includes("lost"));
    await node.close();
    await following.ended;
  });

  test("throw when the first connection fails", async () => {
    const api = await TestApi.open();
    await using node = await connectToNode(api.api.url);
    await api.api.close();
    await expect(follow(node, {}).ended).rejects.toMatchObject({ code: "unreachable" });
  });
});

/** Reads events until told to stop. */
function follow(node: RemoteNode, options: { readonly sinceMs?: number; readonly after?: string }) {
  const abort = new AbortController();
  /** Ids of items, types of other events. */
  const seen: string[] = [];
  const states: string[] = [];
  const events = node.events({
    ...options,
    signal: abort.signal,
    onConnection: (state) => states.push(state),
  });
  const ended = (async () => {
    for await (const event of events) seen.push(event.type === "item" ? event.item.id : event.type);
  })();
  ended.catch(() => {});
  const stop = () => {
    abort.abort();
    return ended;
  };
  return { seen, states, ended, stop };
}
