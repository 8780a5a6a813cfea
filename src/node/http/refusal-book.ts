import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { HttpLogger } from "./options.js";
import { sendProblem } from "./problem.js";

/** Answers refusals, and counts each under its code: none goes unseen. */
export class RefusalBook extends Map<string, number> {
  readonly #logger: HttpLogger;

  constructor(logger: HttpLogger) {
    super();
    this.#logger = logger;
  }

  answer(response: ServerResponse, thrown: unknown, headers?: OutgoingHttpHeaders): void {
    const error = sendProblem(response, thrown, headers);
    this.count(error.code);
    const { method, url } = response.req;
    if (error.code === "bug") this.#logger.error({ err: thrown, method, url }, "a request failed");
    else this.#logger.debug({ code: error.code, method, url }, error.message);
  }

  count(code: string): void {
    this.set(code, (this.get(code) ?? 0) + 1);
  }
}
