import type { HoldersReceipt, Item, NodeStatus, Peer, PostResult, ShownItem } from "../broadcast.js";

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

/** One page of GET /v1/items. */
export interface ItemPage {
  readonly items: readonly Item[];
  readonly nextCursor?: string;
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

/** Whatever reads a URL takes `.` and `..` for steps of the path. */
function pathOfItem(id: string, holders: "true" | "false"): string {
  const place = id === "." || id === ".." ? `?id=${id}&` : `${encodeURIComponent(id)}?`;
  return `v1/items/${place}holders=${holders}`;
}
