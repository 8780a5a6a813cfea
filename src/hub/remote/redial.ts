import type { Random } from "../../core/machine.js";
import type { CloseReason } from "../protocol/close-reason.js";
import { backoffMs } from "./backoff.js";

/** After these the hub does not want the client back. */
const FINAL: ReadonlySet<CloseReason> = new Set([
  "unauthorized",
  "malformedFrame",
  "unknownType",
  "frameTooLarge",
]);

export function isFinal(reason: CloseReason): boolean {
  return FINAL.has(reason);
}

/** Tries again and again, ever more slowly, until it works, is given up, or is stopped. */
export class Redial {
  #timer: NodeJS.Timeout | undefined;

  /** @param attempt does not reject; says whether to try `again` */
  constructor(
    private readonly random: Random,
    private readonly attempt: () => Promise<"done" | "again">,
  ) {}

  start(): void {
    this.#plan(0);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #plan(attempts: number): void {
    this.#timer = setTimeout(
      async () => {
        if ((await this.attempt()) === "again") this.#plan(attempts + 1);
      },
      backoffMs(attempts, this.random),
    );
  }
}
