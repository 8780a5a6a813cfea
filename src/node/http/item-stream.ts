import type { Item } from "../protocol/item.js";
import type { AnswerStream } from "./answer-stream.js";

/** As much as is made before the client takes it and other requests have a turn. */
const BLOCK_LENGTH = 65_536;

/**
 * Writes many items without ever holding more than a block of text: as a list inside a JSON document, or one a line.
 * @param toText one item as it stands between `before` and `after`
 */
export async function streamItems(
  answer: AnswerStream,
  items: Iterable<Item>,
  frame: { readonly before: string; readonly between: string; readonly after: string },
  toText: (item: Item) => string,
): Promise<void> {
  let block = frame.before;
  let separator = "";
  for (const item of items) {
    block += separator + toText(item);
    separator = frame.between;
    if (block.length < BLOCK_LENGTH) continue;
    answer.push(block);
    block = "";
    await answer.whenBelow(BLOCK_LENGTH);
    // A client that reads as fast as we write would otherwise keep everybody else waiting.
    await new Promise(setImmediate);
    if (answer.gone) return;
  }
  answer.push(block + frame.after);
  await answer.end();
}
