import { ERRORS, HubcastError } from "../core/errors.js";
import type { BulkLine, PostResult } from "./broadcast.js";
import type { PostOutcome, RefusalCode } from "./replica/messages.js";

const ADVICE: { readonly [Code in RefusalCode]?: readonly string[] } = {
  refusedByPolicy: ["Sign it with a key that the node trusts: hubcast broadcast post --sign-key FILE"],
  refusedTopic: [
    "Post it under a topic that the node's trust file has behind the key: hubcast broadcast post --topic TOPIC --sign-key FILE",
  ],
  storageFailed: [
    "Free space on the disk of --data-dir, or wait until items expire: the node then takes items again by itself.",
  ],
  natsAway: [
    "Post it again, under the same id, when NATS is back; a node with --data-dir takes posts meanwhile.",
  ],
  natsFull: ["Wait until items expire, or give the stream more room."],
};

/** The result of a post, without the digest that is visible now. @throws the error that refuses the item */
export function resultOf(outcome: PostOutcome): Omit<PostResult, "visible"> {
  const { id, digest, timestampMs } = outcome.item;
  switch (outcome.status) {
    case "accepted":
    case "held":
      return { id, digest, timestampMs, status: outcome.status };
    case "conflict":
      throw new HubcastError(
        "conflict",
        `the id ${JSON.stringify(id)} is held with another raw or signature`,
        {
          suggestions: ["Items never change: post under a new id, and the old one expires."],
        },
      );
    case "refused":
      throw new HubcastError(outcome.code, ERRORS[outcome.code].meaning, {
        suggestions: ADVICE[outcome.code] ?? [],
      });
  }
}

/** The same for a line among many. */
export function lineOf(outcome: PostOutcome): BulkLine {
  const { id } = outcome.item;
  switch (outcome.status) {
    case "accepted":
    case "held":
      return { id, status: outcome.status };
    case "conflict":
      return { id, status: "conflict", code: "conflict" };
    case "refused":
      return { id, status: "refused", code: outcome.code };
  }
}
