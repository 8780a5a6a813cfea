import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import { asHubcastError } from "../../core/errors.js";
import type { HttpLimits, HttpLogger } from "./options.js";
import { sendProblem } from "./problem.js";

/** Answers refusals, and counts each under its code: none goes unseen. */
export class RefusalBook extends Map<string, number> {
  readonly #logger: HttpLogger;

  readonly #refusedBodyMs: number;

  constructor({ refusedBodyMs }: HttpLimits, logger: HttpLogger) {
    super();
    this.#refusedBodyMs = refusedBodyMs;
    this.#logger = logger;
  }

  answer(response: ServerResponse, thrown: unknown, headers?: OutgoingHttpHeaders): void {
    const error = asHubcastError(thrown);
    sendProblem(response, error, this.#refusedBodyMs, headers);
    this.count(error.code);
    const { method, url } = response.req;
    if (error.code === "bug") this.#logger.error({ err: thrown, method, url }, "a request failed");
    else this.#logger.debug({ code: error.code, method, url }, error.message);
  }

  count(code: string): void {
    this.set(code, (this.get(code) ?? 0) + 1);
  }
}
