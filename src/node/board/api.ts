import { createParser, type EventSourceMessage } from "eventsource-parser";
import type {
  HoldersReceipt,
  ItemPage,
  NodeEvent,
  NodeStatus,
  Peer,
  PostResult,
  ShownItem,
} from "../broadcast.js";

/** The rights of the caller: GET /v1/access. */
export type Role = "post" | "read" | "none";

/** A refusal of the node, in its words. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly suggestions: readonly string[],
  ) {
    super(message);
  }
}

/** A node that does not answer a question for this long is taken for gone. */
const ANSWER_MS_MAX = 15_000;

/** The calls of the node that served the page. The token goes in the header, and never into a URL. */
export class Api {
  constructor(readonly token: string | undefined) {}

  async role(): Promise<Role> {
    return (await this.#json<{ role: Role }>("v1/access")).role;
  }

  status(): Promise<NodeStatus> {
    return this.#json("v1/status");
  }

  peers(): Promise<readonly Peer[]> {
    return this.#json("v1/peers");
  }

  items(query: Readonly<Record<string, string>>): Promise<ItemPage> {
    return this.#json(`v1/items?${new URLSearchParams(query)}`);
  }

  /** @throws Refusal `notFound` */
  item(id: string): Promise<ShownItem> {
    return this.#json(pathOfItem(id, "false"));
  }

  /** Asks all members whether they hold it: takes 3 s when one does not. @throws Refusal `notFound` */
  async holders(id: string): Promise<HoldersReceipt | undefined> {
    return (await this.#json<ShownItem>(`${pathOfItem(id, "true")}&timeoutMs=3000`)).receipt;
  }

  /** Waits, for some seconds at most, until all others hold it. */
  post(draft: { readonly id?: string; readonly raw: string }): Promise<PostResult> {
    return this.#json("v1/items?wait=all&timeoutMs=3000", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(draft),
    });
  }

  /** @throws Refusal, TypeError when the node does not answer */
  async call(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.token !== undefined) headers.set("authorization", `Bearer ${this.token}`);
    const answer = await fetch(`/${path}`, { ...init, headers, cache: "no-store", credentials: "omit" });
    if (answer.ok) return answer;
    const { code, detail, suggestions } = await answer.json().catch(() => ({}));
    throw new Refusal(answer.status, code ?? "", detail ?? `status ${answer.status}`, suggestions ?? []);
  }

  async #json<Body>(path: string, init: RequestInit = {}): Promise<Body> {
    const answer = await this.call(path, { ...init, signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    return (await answer.json()) as Body;
  }
}

/** URL parsers take `.` and `..` for steps of the path. */
function pathOfItem(id: string, holders: "true" | "false"): string {
  const place = id === "." || id === ".." ? `?id=${id}&` : `${encodeURIComponent(id)}?`;
  return `v1/items/${place}holders=${holders}`;
}

/** Where nothing is stamped, so that a stream begins with what happens now, and names its place. */
const NEVER = "253402300799000";
/** The node says something every 15 s. */
const SILENCE_MS_MAX = 40_000;
const RETRY_MS = { first: 500, most: 10_000 };

export type Connection =
  /** Nothing was heard of the node yet. */
  | { readonly state: "connecting" }
  /** Connected, and what came meanwhile is still being read. */
  | { readonly state: "behind" }
  | { readonly state: "live" }
  /** `refusal`: the node answers, and says why not. */
  | { readonly state: "lost"; readonly sinceMs: number; readonly refusal: string | undefined }
  /** The token is not, or no more, one of the node's. */
  | { readonly state: "locked" };

interface Follower {
  /** Connected without a place to go on from: the newest items have to be read. */
  onFresh(): Promise<void>;
  onEvent(event: NodeEvent): void;
  onConnection(connection: Connection): void;
}

/**
 * Follows the events of the node until the signal, and connects again whenever the connection is lost. After a loss it goes
 * on where it was; where the node does not know that place any more, `onFresh` reads anew.
 */
export async function follow(
  api: Api,
  topic: string | undefined,
  follower: Follower,
  signal: AbortSignal,
): Promise<void> {
  let place = "";
  let lostAtMs: number | undefined;
  let retryMs = RETRY_MS.first;
  let refusal: string | undefined;
  follower.onConnection({ state: "connecting" });
  while (!signal.aborted) {
    const connection = new AbortController();
    const stop = () => connection.abort();
    signal.addEventListener("abort", stop);
    let silence = setTimeout(stop, SILENCE_MS_MAX);
    try {
      const query = new URLSearchParams({ since: NEVER, ...(topic !== undefined && { topic }) });
      const answer = await api.call(`v1/events?${query}`, {
        signal: connection.signal,
        headers: place === "" ? {} : { "last-event-id": place },
      });
      follower.onConnection({ state: place === "" ? "behind" : "live" });
      lostAtMs = undefined;
      retryMs = RETRY_MS.first;
      refusal = undefined;
      for await (const message of messagesOf(answer, () => {
        clearTimeout(silence);
        silence = setTimeout(stop, SILENCE_MS_MAX);
      })) {
        // The node ends a stream that is read too slowly: what it had is out of date anyway.
        if (message.event === "problem") {
          place = "";
          break;
        }
        if (message.event === "caught-up") {
          follower.onConnection({ state: "behind" });
          // Beside the events that come meanwhile.
          follower.onFresh().then(
            () => connection.signal.aborted || follower.onConnection({ state: "live" }),
            () => {
              place = "";
              connection.abort();
            },
          );
        } else follower.onEvent(JSON.parse(message.data) as NodeEvent);
        if (message.id) place = message.id;
      }
    } catch (error) {
      if (error instanceof Refusal && error.status === 401) {
        if (!signal.aborted) follower.onConnection({ state: "locked" });
        return;
      }
      refusal = error instanceof Refusal ? error.message : undefined;
    } finally {
      connection.abort();
      clearTimeout(silence);
      signal.removeEventListener("abort", stop);
    }
    if (signal.aborted) return;
    lostAtMs ??= Date.now();
    follower.onConnection({ state: "lost", sinceMs: lostAtMs, refusal });
    await delay(retryMs, signal);
    retryMs = Math.min(retryMs * 1.6, RETRY_MS.most);
  }
}

/** @param onBytes called whenever something came, heartbeats too */
async function* messagesOf(answer: Response, onBytes: () => void): AsyncGenerator<EventSourceMessage> {
  const messages: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (message) => messages.push(message) });
  const decoder = new TextDecoder();
  const reader = answer.body!.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    onBytes();
    parser.feed(decoder.decode(value, { stream: true }));
    yield* messages.splice(0);
  }
}

/** Shorter when the machine is back on a network, or somebody looks at the page again. */
function delay(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      removeEventListener("online", end);
      document.removeEventListener("visibilitychange", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
    addEventListener("online", end);
    document.addEventListener("visibilitychange", end);
  });
}
