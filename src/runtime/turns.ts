import type { Socket } from "node:net";
import type { Server, TLSSocket } from "node:tls";

/** Calls a bounded number of callbacks in one turn of the event loop, in order, so that other work runs in between. */
export class PacedCalls {
  #waiting: (() => void)[] = [];
  #next = 0;
  /** This turn has begun. */
  #taken = false;

  /** @param yields whether this turn is for others; asked once in each turn after the first */
  constructor(
    private readonly perTurn: number,
    private readonly yields: () => boolean = () => false,
  ) {}

  /** The first of this turn are called at once. */
  add(callbacks: readonly (() => void)[]): void {
    this.#waiting.push(...callbacks);
    if (!this.#taken) this.#turn();
  }

  readonly #turn = (): void => {
    if (this.#taken && this.yields()) {
      setImmediate(this.#turn);
      return;
    }
    const end = Math.min(this.#next + this.perTurn, this.#waiting.length);
    this.#taken = end > this.#next;
    if (this.#taken) setImmediate(this.#turn);
    while (this.#next < end) this.#waiting[this.#next++]!();
    if (this.#next < this.#waiting.length) return;
    this.#waiting = [];
    this.#next = 0;
  };
}

/** @returns waits for a turn of the event loop: so many callers have theirs in one, and then none in so many */
export function turnsOf(perTurn: number, turnsBetween: number): () => Promise<void> {
  let yields = 0;
  const calls = new PacedCalls(perTurn, () => yields > 0 && yields-- > 0);
  return () =>
    new Promise((resolve) => {
      const pass = () => {
        yields = turnsBetween;
        resolve();
      };
      calls.add([pass]);
    });
}

/**
 * Gathers the posts of one turn of the event loop, so that they are taken as one: clients that are answered
 * together post together. A lone post waits for nothing but the end of its turn.
 */
export class PostGathering<Post, Outcome> {
  #posts: Post[] = [];
  #waiting: PromiseWithResolvers<Outcome>[] = [];

  /** @param submit returns one outcome for each post, in their order; where it rejects, all of them do */
  constructor(private readonly submit: (posts: readonly Post[]) => Promise<readonly Outcome[]>) {}

  add(post: Post): Promise<Outcome> {
    if (this.#posts.length === 0) setImmediate(() => this.#hand());
    this.#posts.push(post);
    const waiting = Promise.withResolvers<Outcome>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  async #hand(): Promise<void> {
    const posts = this.#posts;
    const waiting = this.#waiting;
    this.#posts = [];
    this.#waiting = [];
    try {
      for (const [index, outcome] of (await this.submit(posts)).entries()) waiting[index]!.resolve(outcome);
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }
}

/** With an RSA key of 2,048 bits a handshake takes 1 to 2 ms, and a request of somebody else several turns. */
const TURNS_PER_HANDSHAKE = 3;

/**
 * Lets the handshakes of a TLS server begin one in several turns of the event loop, each when its client has sent something.
 * One packet from anyone begins a handshake, and hundreds may come at the same moment.
 * @param timeoutMs how long a client may send nothing
 */
export function paceHandshakes(server: Server, timeoutMs: number): void {
  const [shakeHands, another] = server.listeners("connection") as ((socket: Socket) => void)[];
  // A test sees to it that node:tls sets one listener.
  if (shakeHands === undefined || another !== undefined) return;
  const turn = turnsOf(1, TURNS_PER_HANDSHAKE - 1);
  server.off("connection", shakeHands).on("connection", (socket: Socket) => {
    const giveUp = () => {
      server.emit("tlsClientError", new Error("it sends nothing"), socket as TLSSocket);
      socket.destroy();
    };
    const timer = setTimeout(giveUp, timeoutMs);
    // Its close follows.
    const ignore = () => {};
    socket.on("error", ignore);
    socket.once("close", () => clearTimeout(timer));
    socket.once("readable", async () => {
      clearTimeout(timer);
      await turn();
      socket.off("error", ignore);
      if (!socket.destroyed) shakeHands.call(server, socket);
    });
  });
}
