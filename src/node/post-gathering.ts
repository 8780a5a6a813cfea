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
