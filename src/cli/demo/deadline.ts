/** A promise that rejects when time is up; disposing of it stops the clock. */
export interface Deadline extends Disposable {
  readonly passed: Promise<never>;
}

/** @param what asked when it passes: what has not come true */
export function deadlineIn(lengthMs: number, what: () => string): Deadline {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(what())), lengthMs);
  });
  passed.catch(() => {});
  return { passed, [Symbol.dispose]: () => clearTimeout(timer) };
}
