import { expect, it } from "vitest";
import type { EventsOptions, Item, ListQuery, NodeEvent } from "../../src/node/broadcast.js";
import type { RemoteNode } from "../../src/node/client.js";
import { ItemFeed } from "../../src/tui/collect.js";
import { eventually } from "../fixtures/eventually.js";

const ITEM: Item = { id: "1", raw: "doors open", signature: "sha256:00", timestampMs: 1, digest: "00" };

it("an item that is posted while the list is read is shown", async () => {
  let isSubscribed = false;
  const posted = Promise.withResolvers<void>();
  const node: Pick<RemoteNode, "events" | "list"> = {
    async *events(): AsyncGenerator<NodeEvent, void, undefined> {
      isSubscribed = true;
      yield { type: "caught-up", eventId: "1" };
      await posted.promise;
      yield { type: "item", item: ITEM };
    },
    // The item is posted behind each list: only those that are subscribed by then hear of it.
    async *list(): AsyncGenerator<Item, void, undefined> {
      if (isSubscribed) posted.resolve();
      yield* [];
    },
  };
  const feed = new ItemFeed();
  feed.follow(node as RemoteNode);
  await eventually(() => feed.items.length > 0);
  feed.close();
  expect(feed.items).toEqual([ITEM]);
});

it("another topic is asked of the node, once", async () => {
  const asked: (string | undefined)[] = [];
  const node: Pick<RemoteNode, "events" | "list"> = {
    async *events({ topic, signal }: EventsOptions = {}): AsyncGenerator<NodeEvent, void, undefined> {
      asked.push(topic);
      yield { type: "caught-up", eventId: "1" };
      await new Promise((resolve) => signal!.addEventListener("abort", resolve, { once: true }));
    },
    async *list({ topic }: ListQuery = {}): AsyncGenerator<Item, void, undefined> {
      yield { ...ITEM, id: `${topic}/1` };
    },
  };
  const feed = new ItemFeed();
  for (const topic of ["alerts", "alerts", "deploy"]) {
    feed.follow(node as RemoteNode, topic);
    await eventually(() => feed.items[0]?.id === `${topic}/1`);
  }
  feed.close();
  expect(asked).toEqual(["alerts", "deploy"]);
});
