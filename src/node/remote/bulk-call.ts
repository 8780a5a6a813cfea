import type { ClientRequest } from "node:http";
import type { ItemDraft } from "../protocol/item.js";
import type { BulkLine } from "../service.js";
import type { Caller } from "./caller.js";
import { errorOfTransport, notHubcast } from "./faults.js";

/** Lines are written in pieces of about this size. */
const PIECE_LENGTH = 65_536;

/**
 * Posts many items over one request; outcomes come in the order of the drafts, while further ones are sent.
 * @throws the refusal of the request as a whole; what `drafts` throws
 */
export async function* bulkOf(
  caller: Caller,
  drafts: Iterable<ItemDraft> | AsyncIterable<ItemDraft>,
  signal: AbortSignal | undefined,
): AsyncGenerator<BulkLine> {
  const { request, answer } = caller.stream({
    method: "POST",
    path: "/v1/items",
    headers: { "content-type": "application/x-ndjson", accept: "application/x-ndjson" },
    signal,
  });
  let fault: { readonly thrown: unknown } | undefined;
  writeLines(request, drafts).catch((thrown: unknown) => {
    fault = { thrown };
    request.destroy();
  });
  try {
    const response = await answer;
    response.setEncoding("utf8");
    let rest = "";
    for await (const chunk of response as AsyncIterable<string>) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop()!;
      for (const line of lines) yield JSON.parse(line) as BulkLine;
    }
    if (rest !== "") throw notHubcast(caller.url, response);
  } catch (error) {
    if (fault) throw fault.thrown;
    signal?.throwIfAborted();
    throw error instanceof SyntaxError
      ? notHubcast(caller.url)
      : errorOfTransport(error as Error, caller.url);
  } finally {
    request.destroy();
  }
}

async function writeLines(
  request: ClientRequest,
  drafts: Iterable<ItemDraft> | AsyncIterable<ItemDraft>,
): Promise<void> {
  let piece = "";
  for await (const draft of drafts) {
    piece += `${JSON.stringify(draft)}\n`;
    if (piece.length < PIECE_LENGTH) continue;
    if (!request.write(piece)) await drained(request);
    piece = "";
    if (request.destroyed) return;
  }
  request.end(piece);
}

/** Resolves when there is room again, or nobody to write to any more. */
function drained(request: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      request.off("drain", go).off("close", go);
      resolve();
    };
    request.on("drain", go).on("close", go);
    if (request.destroyed) go();
  });
}
