import { PostGathering } from "../../runtime/turns.js";
import type { PostResult } from "../broadcast.js";
import { answerAs, parsed, refusalIn } from "./answers.js";
import { type NodeHttp, notHubcast } from "./http.js";

/** Posts in one request at most, and UTF-16 units: what comes at once is spread over connections. */
const JOINED_POSTS_MAX = 256;
const JOINED_LENGTH_MAX = 262_144;

/**
 * After so many turns with one post each, the first post of a turn is sent at once. Before, it waits, so that a burst
 * stays in one request.
 */
const LONE_TURNS_MIN = 8;

/** The terms that all posts of one request share. */
interface Terms {
  /** Of the URL, behind the question mark. */
  readonly query: string;
  readonly extraMs: number;
  readonly repeatable: boolean;
}

type Outcome = PromiseSettledResult<PostResult>;

/**
 * Joins the posts of one turn of the event loop into one request: a request costs both sides as much as a dozen items.
 * Each is answered as a post of its own. A lone post is a request of its own, and where posts are alone for a while,
 * does not wait for the end of its turn.
 */
export class JoinedPosts {
  readonly #gatherings = new Map<string, PostGathering<string, Outcome>>();
  #turnPosts = 0;
  /** Turns one after the other that had one post. */
  #loneTurns = 0;

  /** @param http the node that is posted to now */
  constructor(private readonly http: () => NodeHttp) {}

  /** @param draft as JSON @throws as `Broadcast.post` */
  async post(
    draft: string,
    terms: Terms & { readonly signal: AbortSignal | undefined },
  ): Promise<PostResult> {
    // An abort ends one post alone, so a post with a signal is never joined.
    if (this.#isLone() || terms.signal) return await this.#alone(draft, terms);
    const outcome = await this.#gathering(terms).add(draft);
    if (outcome.status === "rejected") throw outcome.reason;
    return outcome.value;
  }

  /** Whether it is the first of its turn, and no other is expected. */
  #isLone(): boolean {
    if (++this.#turnPosts > 1) return false;
    setImmediate(() => {
      this.#loneTurns = this.#turnPosts === 1 ? this.#loneTurns + 1 : 0;
      this.#turnPosts = 0;
    });
    return this.#loneTurns >= LONE_TURNS_MIN;
  }

  #gathering(terms: Terms): PostGathering<string, Outcome> {
    const key = `${terms.query} ${terms.repeatable}`;
    let gathering = this.#gatherings.get(key);
    if (!gathering) {
      gathering = new PostGathering((drafts) => {
        this.#gatherings.delete(key);
        return this.#postAll(drafts, terms);
      });
      this.#gatherings.set(key, gathering);
    }
    return gathering;
  }

  async #postAll(drafts: readonly string[], terms: Terms): Promise<readonly Outcome[]> {
    return (await Promise.all(portionsOf(drafts).map((portion) => this.#postJoined(portion, terms)))).flat();
  }

  async #postJoined(drafts: readonly string[], terms: Terms): Promise<readonly Outcome[]> {
    if (drafts.length === 1) return await Promise.allSettled([this.#alone(drafts[0]!, terms)]);
    const http = this.http();
    const { query, ...others } = terms;
    try {
      const lines = await http.lines({
        method: "POST",
        path: `/v1/items?results=full${query && `&${query}`}`,
        headers: { "content-type": "application/x-ndjson", accept: "application/x-ndjson" },
        body: `${drafts.join("\n")}\n`,
        ...others,
      });
      if (lines.length !== drafts.length) throw notHubcast(http.url);
      return lines.map((line) => outcomeIn(line, http.url));
    } catch (reason) {
      return drafts.map(() => ({ status: "rejected", reason }));
    }
  }

  async #alone(draft: string, { query, ...others }: Terms & { readonly signal?: AbortSignal | undefined }) {
    const http = this.http();
    const path = `/v1/items${query && `?${query}`}`;
    const result = await http.json({ method: "POST", path, body: draft, ...others });
    return answerAs("the result of a post", result, http.url);
  }
}

function outcomeIn(line: string, url: URL): Outcome {
  try {
    const value = parsed(line, "the result of a post", url);
    const refusal = Object(value).code === undefined ? undefined : refusalIn(line, url);
    if (refusal) return { status: "rejected", reason: refusal };
    return { status: "fulfilled", value: answerAs("the result of a post", value, url) };
  } catch (reason) {
    return { status: "rejected", reason };
  }
}

/** Of bounded size each, in their order. */
function portionsOf(drafts: readonly string[]): readonly string[][] {
  const portions: string[][] = [];
  let length = Number.POSITIVE_INFINITY;
  for (const draft of drafts) {
    length += draft.length;
    if (length > JOINED_LENGTH_MAX || portions.at(-1)!.length >= JOINED_POSTS_MAX) {
      portions.push([]);
      length = draft.length;
    }
    portions.at(-1)!.push(draft);
  }
  return portions;
}
