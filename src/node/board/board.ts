import type { NodeEvent, NodeStatus, Peer } from "../broadcast.js";
import { Api, type Connection, follow, Refusal, type Role } from "./api.js";
import { Feed } from "./feed.js";

/** Items that are read at once. */
const PAGE_ITEMS = 100;
/** How often the members are asked for; a page that nobody sees asks more rarely. */
const POLL_MS = { visible: 2_000, hidden: 15_000 };
/** A name of this tab's own storage: a reload of the page does not ask again, another tab does. */
const TOKEN_KEY = "hubcast-token";

/** The state of the page, and its requests to the node. Components draw again when `onChange` is called. */
export class Board {
  readonly feed = new Feed();
  role: Role | undefined;
  connection: Connection = { state: "connecting" };
  status: NodeStatus | undefined;
  peers: readonly Peer[] = [];
  /** Only items of this topic and below it. */
  topic: string | undefined;
  /** There are older items than those in the list. */
  hasOlder = false;
  /** Why the token was not taken. */
  tokenFault: string | undefined;
  onChange: () => void = () => {};
  #api = new Api(sessionStorage.getItem(TOKEN_KEY) ?? undefined);
  #following = new AbortController();
  #olderCursor: string | undefined;
  #isDrawing = false;
  #pollTimer: ReturnType<typeof setTimeout> | undefined;
  /** The page has shown the items of this topic: what it finds beyond them is new. */
  #hasShown = false;

  get api(): Api {
    return this.#api;
  }

  get hasToken(): boolean {
    return this.#api.token !== undefined;
  }

  /** Asks what the caller may do, then follows. Tries for as long as the node does not answer. */
  async start(): Promise<void> {
    let lostAtMs: number | undefined;
    for (;;) {
      try {
        this.role = await this.#api.role();
        break;
      } catch (error) {
        if (error instanceof Refusal) {
          this.role = "none";
          this.tokenFault = error.status === 401 ? "The node does not know this token." : error.message;
          break;
        }
        lostAtMs ??= Date.now();
        this.connection = { state: "lost", sinceMs: lostAtMs, refusal: undefined };
        this.#changed();
        await new Promise((resolve) => setTimeout(resolve, 2_000));
      }
    }
    this.#changed();
    if (this.role !== "none") this.#follow();
  }

  async takeToken(token: string | undefined): Promise<void> {
    if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
      this.tokenFault = "A token has no blanks, and plain characters only.";
      this.#changed();
      return;
    }
    this.#api = new Api(token);
    this.tokenFault = undefined;
    this.#lock();
    await this.start();
    if (this.role !== "none" && token !== undefined) sessionStorage.setItem(TOKEN_KEY, token);
  }

  choose(topic: string | undefined): void {
    if (topic === this.topic) return;
    this.topic = topic;
    this.feed.clear();
    this.#hasShown = false;
    this.hasOlder = false;
    if (this.role !== undefined && this.role !== "none") this.#follow();
    this.#changed();
  }

  /** Adds older items to the end of the list. */
  async readOlder(): Promise<void> {
    const { topic } = this;
    const cursor = this.#olderCursor;
    if (cursor === undefined) return;
    const { items, nextCursor } = await this.#api.items(this.#query({ cursor }));
    if (topic !== this.topic) return;
    for (const item of items) this.feed.add(item);
    this.#noteOlder(nextCursor);
  }

  #follow(): void {
    this.#following.abort();
    this.#following = new AbortController();
    const { signal } = this.#following;
    const follower = {
      onFresh: () => this.#readNewest(),
      onEvent: (event: NodeEvent) => {
        if (!signal.aborted) this.#take(event);
      },
      onConnection: (connection: Connection) => {
        if (signal.aborted) return;
        this.connection = connection;
        if (connection.state === "locked") this.#askAgain();
        if (connection.state === "live") void this.#poll();
        this.#changed();
      },
    };
    void follow(this.#api, this.topic, follower, signal);
    void this.#poll();
  }

  async #readNewest(): Promise<void> {
    const { topic } = this;
    const sinceMs = Date.now();
    const { items, nextCursor } = await this.#api.items(this.#query({}));
    if (topic !== this.topic) return;
    this.feed.renew(items, sinceMs, this.#hasShown);
    this.#hasShown = true;
    this.#noteOlder(nextCursor);
  }

  #query(further: Readonly<Record<string, string>>): Record<string, string> {
    const { topic } = this;
    return { order: "newest", limit: String(PAGE_ITEMS), ...(topic !== undefined && { topic }), ...further };
  }

  #noteOlder(cursor: string | undefined): void {
    this.#olderCursor = cursor;
    this.hasOlder = cursor !== undefined;
    this.#changed();
  }

  #take(event: NodeEvent): void {
    switch (event.type) {
      case "item":
        this.feed.add(event.item, Date.now());
        break;
      case "replaced":
        this.feed.remove(event.previous.digest);
        this.feed.add(event.item, Date.now());
        break;
      case "expired":
        this.feed.remove(event.item.digest);
        break;
      case "peer":
        void this.#poll();
        return;
      case "caught-up":
        return;
    }
    this.#changed();
  }

  /** Status and members, now and then again; of a node that is gone the last ones stay. */
  async #poll(): Promise<void> {
    clearTimeout(this.#pollTimer);
    const { signal } = this.#following;
    this.#pollTimer = setTimeout(() => this.#poll(), POLL_MS[document.hidden ? "hidden" : "visible"]);
    try {
      const [status, peers] = await Promise.all([this.#api.status(), this.#api.peers()]);
      if (signal.aborted) return;
      this.status = status;
      this.peers = peers;
      this.#changed();
    } catch (error) {
      if (error instanceof Refusal && error.status === 401 && !signal.aborted) this.#askAgain();
    }
  }

  #askAgain(): void {
    this.#lock();
    this.role = "none";
    this.tokenFault = "The node does not take this token any more.";
    this.#changed();
  }

  /** Nothing of what was shown with a token stays on the screen without it. */
  #lock(): void {
    this.#following.abort();
    clearTimeout(this.#pollTimer);
    sessionStorage.removeItem(TOKEN_KEY);
    this.feed.clear();
    this.#hasShown = false;
    this.status = undefined;
    this.peers = [];
    this.role = undefined;
  }

  /** Draws once a frame, however many items come; a page that nobody sees has no frames, but a title. */
  #changed(): void {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    const draw = () => {
      this.#isDrawing = false;
      this.onChange();
    };
    if (document.hidden) setTimeout(draw, 1_000);
    else requestAnimationFrame(draw);
  }
}
