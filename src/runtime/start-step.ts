import { HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { formatDuration } from "../core/units.js";

export interface StartStepOptions<T> {
  /** Told when the step is slow. */
  readonly logger?: { warn(fields: object, message: string): void } | undefined;
  /** Gives back what a step has opened that ends after its deadline. */
  readonly late?: (result: T) => unknown;
  readonly lengthMs?: number;
}

/**
 * One step of a start, which may stand on a disk, a share or a server that never answers: it has a deadline, and the
 * log says after some seconds which one the start waits for.
 * @param what the step does: `opening the data directory items`
 * @throws deadline, and what the step throws
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
            "See whether what it stands on answers: the disk, the share, the pipe, or the server.",
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
