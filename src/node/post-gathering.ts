/**
 * Gathers the posts of one turn of the event loop, so that they are taken as one: clients that are answered
 * together post together. A lone post waits for nothing but the end of its turn.
 */
export class PostGathering<Post, Outcome> {
  #posts: Post[] = [];
  #answer: ((outcome: Outcome) => void)[] = [];

  /** @param submit returns one outcome for each post, in their order; must not reject */
  constructor(private readonly submit: (posts: readonly Post[]) => Promise<readonly Outcome[]>) {}

  add(post: Post): Promise<Outcome> {
    if (this.#posts.length === 0) setImmediate(() => this.#hand());
    this.#posts.push(post);
    return new Promise((resolve) => this.#answer.push(resolve));
  }

  async #hand(): Promise<void> {
    const posts = this.#posts;
    const answer = this.#answer;
    this.#posts = [];
    this.#answer = [];
    for (const [index, outcome] of (await this.submit(posts)).entries()) answer[index]!(outcome);
  }
}
