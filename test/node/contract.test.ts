import { describe, expect, test } from "vitest";
import type { Broadcast, EventsOptions, ListQuery, PostOptions } from "../../src/node/broadcast.js";
import { connectToNode } from "../../src/node/client.js";
import type { StartedNode } from "../../src/node/index.js";
import { BadMember } from "../fixtures/bad-member.js";
import { all } from "../fixtures/http-call.js";
import { Nodes } from "../fixtures/nodes.js";

/** A node behind one of the two doors of the library. */
interface Subject extends AsyncDisposable {
  readonly node: Broadcast;
  /** The node itself, to look at. */
  readonly within: StartedNode;
}

const DOORS: readonly (readonly [string, () => Promise<Subject>])[] = [
  [
    "a node in this process",
    async () => {
      const nodes = new Nodes();
      const node = await nodes.start({ mdns: false });
      return { node, within: node, [Symbol.asyncDispose]: () => nodes[Symbol.asyncDispose]() };
    },
  ],
  [
    "a node over HTTP",
    async () => {
      const nodes = new Nodes();
      const within = await nodes.start({ mdns: false, http: { port: 0 } });
      const node = await connectToNode(within.url!);
      return {
        node,
        within,
        async [Symbol.asyncDispose]() {
          await node.close();
          await nodes[Symbol.asyncDispose]();
        },
      };
    },
  ],
];

describe.each(DOORS)("%s", (_name, open) => {
  test.each([
    ["nothing", undefined, "the item is undefined, not an object"],
    ["null", null, "the item is null, not an object"],
    ["a text", "raw", "the item is a string, not an object"],
    ["no raw", {}, "raw is missing"],
    ["a number for raw", { raw: 7 }, "raw is a number, not a string"],
    ["null for an id", { id: null, raw: "x" }, "id is null, not a string"],
    ["a text for a time", { raw: "x", timestampMs: "now" }, "timestampMs is a string, not a number"],
    ["an empty id", { id: "", raw: "x" }, "id is empty"],
    ["an empty raw", { raw: "" }, "raw is empty"],
    ["a lone surrogate", { raw: "\ud800" }, "raw is not valid UTF-8 (it has a lone surrogate)"],
    ["another signature", { raw: "x", signature: "0".repeat(32) }, "signature is not the md5 of raw"],
  ])("refuses to post %s", async (_what, draft, message) => {
    await using subject = await open();
    await expect(subject.node.post(draft as never)).rejects.toMatchObject({ code: "invalidItem", message });
  });

  test("ignores fields that a draft does not have", async () => {
    await using subject = await open();
    await subject.node.post({ id: "a", raw: "x" });
    expect(await subject.node.post((await subject.node.get("a"))!)).toMatchObject({ status: "held" });
  });

  test.each<[object, RegExp]>([
    [{ wait: -1 }, /^wait is -1; it must be a whole number from 1 to \d+ or "all"$/],
    [{ wait: 0 }, /^wait is 0;/],
    [{ wait: 1.5 }, /^wait is 1.5;/],
    [{ wait: "some" }, /^wait is "some";/],
    [{ wait: 1, timeoutMs: 0 }, /^timeoutMs is 0;/],
    [{ wait: 1, timeoutMs: Number.NaN }, /^timeoutMs is NaN; /],
    [{ signal: "stop" }, /^signal is "stop"; it must be an AbortSignal$/],
    [{ wiat: 1 }, /^post has no option "wiat"$/],
    [null as never, /^the options of post are null, not an object$/],
  ])("refuses to post with %j, and posts nothing", async (options, message) => {
    await using subject = await open();
    const posting = subject.node.post({ id: "a", raw: "x" }, options as PostOptions);
    await expect(posting).rejects.toMatchObject({
      code: "invalidOption",
      message: expect.stringMatching(message),
    });
    expect(await subject.within.get("a")).toBeUndefined();
  });

  test("an aborted post rejects with the reason", async () => {
    await using subject = await open();
    // A member that never says what it holds.
    const { cluster } = await subject.node.status();
    await using _silent = await BadMember.join(subject.within, cluster);
    const stop = new AbortController();
    const waiting = subject.node.post({ id: "a", raw: "x" }, { wait: 1, signal: stop.signal });
    await expect.poll(() => subject.within.get("a")).toBeDefined();
    stop.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    await expect(subject.node.post({ id: "b", raw: "x" }, { signal: stop.signal })).rejects.toThrow("enough");
    expect(await subject.within.get("b")).toBeUndefined();
  });

  test.each<[object, RegExp]>([
    [{ limit: -1 }, /^limit is -1; it must be a whole number from 1 to/],
    [{ limit: 0 }, /^limit is 0;/],
    [{ sinceMs: Number.NaN }, /^sinceMs is NaN; it must be epoch milliseconds$/],
    [{ untilMs: "now" }, /^untilMs is "now";/],
    [{ since: 0 }, /^list has no option "since"$/],
  ])("refuses to list %j", async (query, message) => {
    await using subject = await open();
    const list = all(subject.node.list(query as ListQuery));
    await expect(list).rejects.toMatchObject({
      code: "invalidOption",
      message: expect.stringMatching(message),
    });
  });

  test("lists what is stamped in a window, up to a limit", async () => {
    await using subject = await open();
    for (const id of ["a", "b", "c"]) await subject.node.post({ id, raw: "x" });
    const items = await all(subject.node.list());
    const { timestampMs: lastMs } = items[2]!;
    expect(await all(subject.node.list({ limit: 2 }))).toEqual(items.slice(0, 2));
    expect(await all(subject.node.list({ order: "newest" }))).toEqual(items.toReversed());
    expect(await all(subject.node.list({ order: "newest", limit: 2 }))).toEqual(
      items.toReversed().slice(0, 2),
    );
    expect(await all(subject.node.list({ sinceMs: -1, untilMs: lastMs + 0.5 }))).toEqual(items);
    expect(await all(subject.node.list({ sinceMs: lastMs + 0.5 }))).toEqual([]);
  });

  test("lists and follows a topic and all below it", async () => {
    await using subject = await open();
    const { node, within } = subject;
    // More than the first page of the list over HTTP.
    for (let index = 0; index < 120; index++) {
      await within.post({ id: `alerts/disk/${index}`, raw: "x" });
      await within.post({ id: `deploy/${index}`, raw: "x" });
    }
    const inTopic = (id: string) => id.startsWith("alerts/");
    const expected = (await all(node.list())).filter(({ id }) => inTopic(id));
    expect(expected).toHaveLength(120);
    expect(await all(node.list({ topic: "alerts" }))).toEqual(expected);
    expect(await all(node.list({ topic: "alerts/disk", limit: 110 }))).toEqual(expected.slice(0, 110));
    expect(await all(node.list({ topic: "alerts/net" }))).toEqual([]);
    expect(await all(node.list({ topic: "alert" }))).toEqual([]);

    const events = node.events({ topic: "alerts", sinceMs: 0 })[Symbol.asyncIterator]();
    const told: (string | undefined)[] = [];
    const read = async (count: number) => {
      for (let index = 0; index < count; index++) {
        const { value } = await events.next();
        told.push(value.type === "item" ? value.item.id : value.type);
      }
    };
    await read(121);
    for (const id of ["deploy/x", "x", "alerts/x", "deploy/y", "alerts/net/x"])
      await node.post({ id, raw: "x" });
    await read(2);
    await events.return?.();
    expect(told).toEqual([...expected.map(({ id }) => id), "caught-up", "alerts/x", "alerts/net/x"]);
  });

  test.each(["", "alerts/", "/alerts", "a//b", "a\nb", 7])("refuses the topic %j", async (topic) => {
    await using subject = await open();
    const message = expect.stringMatching(/^topic is .*; it must be a topic: segments with \/ between them/);
    const query = { topic } as { topic: string };
    await expect(all(subject.node.list(query))).rejects.toMatchObject({ code: "invalidOption", message });
    const events = subject.node.events(query)[Symbol.asyncIterator]();
    await expect(events.next()).rejects.toMatchObject({ code: "invalidOption", message });
  });

  test("a list that is aborted throws the reason: what ends is whole", async () => {
    await using subject = await open();
    for (const id of ["a", "b", "c"]) await subject.node.post({ id, raw: "x" });
    const stop = new AbortController();
    const listed: string[] = [];
    const listing = (async () => {
      for await (const { id } of subject.node.list({ signal: stop.signal })) {
        listed.push(id);
        stop.abort(new Error("enough"));
      }
    })();
    await expect(listing).rejects.toThrow("enough");
    expect(listed).toHaveLength(1);
    await expect(all(subject.node.list({ signal: stop.signal }))).rejects.toThrow("enough");
  });

  test.each<[object, RegExp]>([
    [{ after: 5 }, /^after is 5; it must be an event id$/],
    [{ after: "two\nlines" }, /^after is /],
    [{ sinceMs: Number.POSITIVE_INFINITY }, /^sinceMs is /],
    [{ sicne: 0 }, /^events has no option "sicne"$/],
  ])("refuses to follow %j, at the first read", async (options, message) => {
    await using subject = await open();
    const events = subject.node.events(options as EventsOptions)[Symbol.asyncIterator]();
    await expect(events.next()).rejects.toMatchObject({
      code: "invalidOption",
      message: expect.stringMatching(message),
    });
  });

  test("a place of another run is gone, or started over from", async () => {
    await using subject = await open();
    await subject.node.post({ id: "a", raw: "x" });
    const gone = subject.node.events({ after: "0123-7" })[Symbol.asyncIterator]();
    await expect(gone.next()).rejects.toMatchObject({
      code: "eventsGone",
      message: "events cannot be resumed: the place is of another run of the node",
    });
    const again = subject.node.events({ after: "0123-7", sinceMs: 0 })[Symbol.asyncIterator]();
    expect((await again.next()).value).toMatchObject({ type: "item", item: { id: "a" } });
    expect((await again.next()).value).toMatchObject({ type: "caught-up" });
    await again.return?.();
  });

  test("every event with an id can be resumed behind", async () => {
    await using subject = await open();
    await subject.node.post({ id: "a", raw: "x" });
    const first = subject.node.events({ sinceMs: 0 })[Symbol.asyncIterator]();
    const seen = [await first.next(), await first.next()].map(({ value }) => value);
    await subject.node.post({ id: "b", raw: "x" });
    seen.push((await first.next()).value);
    await first.return?.();
    expect(seen.map(({ type, eventId }) => [type, eventId !== undefined])).toEqual([
      ["item", false],
      ["caught-up", true],
      ["item", true],
    ]);
    await subject.node.post({ id: "c", raw: "x" });
    for (const [event, next] of [
      [seen[1], "b"],
      [seen[2], "c"],
    ]) {
      const resumed = subject.node.events({ after: event.eventId })[Symbol.asyncIterator]();
      expect((await resumed.next()).value).toMatchObject({ type: "item", item: { id: next } });
      await resumed.return?.();
    }
  });

  test("refuses an instant that is none, and an id that is no text", async () => {
    await using subject = await open();
    const wrong = { code: "invalidOption" };
    await expect(subject.node.status({ sinceMs: Number.NaN })).rejects.toMatchObject(wrong);
    await expect(subject.node.status({ sinceMs: "1h" } as never)).rejects.toMatchObject(wrong);
    await expect(subject.node.get(7 as never)).rejects.toMatchObject(wrong);
  });

  test.each([".", "..", "...", "a/..", "%2e", "ä ?#", "-"])("the id %j is found", async (id) => {
    await using subject = await open();
    await subject.node.post({ id, raw: "x" });
    expect(await subject.node.get(id)).toMatchObject({ id, raw: "x" });
    expect(await subject.node.get(`${id}x`)).toBeUndefined();
  });
});
