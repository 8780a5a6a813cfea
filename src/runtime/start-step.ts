import { HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { formatDuration } from "../core/units.js";

export interface StartStepOptions<T> {
  /** Told when the step is slow. */
  readonly logger?: { warn(fields: object, message: string): void } | undefined;
  /** Closes the result of a step that ends after its deadline. */
  readonly late?: (result: T) => unknown;
  readonly lengthMs?: number;
}

/**
 * Runs one step of a start with a deadline: its disk, share or server may never answer. After some seconds the log names
 * the step that the start waits for.
 * @param what the action of the step: `opening the data directory items`
 * @throws deadline, and the errors of the step
 */
export async function startStep<T>(
  what: string,
  step: Promise<T>,
  { logger, late, lengthMs = LIMITS.startStepMs }: StartStepOptions<T> = {},
): Promise<T> {
  let isLate = false;
  let timer: NodeJS.Timeout | undefined;
  const slow = setTimeout(
    () => logger?.warn({ step: what }, `the start waits for this: ${what}`),
    LIMITS.startSlowMs,
  );
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      isLate = true;
      reject(
        new HubcastError("deadline", `not done within ${formatDuration(lengthMs)}: ${what}`, {
          suggestions: [
            "Check that the disk, the share, the pipe or the server that this step needs responds.",
          ],
        }),
      );
    }, lengthMs);
  });
  void step.then((result) => isLate && late?.(result)).catch(() => {});
  try {
    return await Promise.race([step, deadline]);
  } finally {
    clearTimeout(slow);
    clearTimeout(timer);
  }
}
