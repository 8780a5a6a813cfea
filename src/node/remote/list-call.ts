import { LIMITS } from "../../core/limits.js";
import type { ListQuery } from "../broadcast.js";
import type { Item } from "../protocol/item.js";
import type { Page } from "../service.js";

/** Items on the first page: even if all of them are as large as can be, the page fits in memory. */
const FIRST_PAGE_ITEMS = 100;

/** What a page should hold, in UTF-16 units of raw. */
const PAGE_LENGTH = 4_000_000;

/** Lists page by page, so that a slow reader holds nothing open at the node. */
export async function* itemsOf(
  read: (path: string) => Promise<Page>,
  { sinceMs, untilMs, limit = Number.POSITIVE_INFINITY }: ListQuery,
): AsyncGenerator<Item> {
  let left = limit;
  let pageItems = FIRST_PAGE_ITEMS;
  let cursor: string | undefined;
  while (left > 0) {
    const query = new URLSearchParams({ limit: String(Math.min(left, pageItems)) });
    if (sinceMs !== undefined) query.set("since", new Date(sinceMs).toISOString());
    if (untilMs !== undefined) query.set("until", new Date(untilMs).toISOString());
    if (cursor !== undefined) query.set("cursor", cursor);
    const { items, nextCursor } = await read(`/v1/items?${query}`);
    yield* items;
    if (nextCursor === undefined) return;
    cursor = nextCursor;
    left -= items.length;
    const length = items.reduce((sum, { raw }) => sum + raw.length, 1);
    pageItems = Math.min(LIMITS.pageItemsMax, Math.max(1, Math.round((items.length * PAGE_LENGTH) / length)));
  }
}
