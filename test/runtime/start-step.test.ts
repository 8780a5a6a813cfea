import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { startStep } from "../../src/runtime/start-step.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("a step of a start", () => {
  it("gives what it opened, and leaves no timer", async () => {
    expect(await startStep("opening", Promise.resolve(7))).toBe(7);
    await expect(startStep("opening", Promise.reject(new Error("taken")))).rejects.toThrow("taken");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is named in the log when it is slow, and in the error when it never ends", async () => {
    const said: string[] = [];
    const logger = { warn: (_fields: object, message: string) => void said.push(message) };
    const step = startStep("opening the disk", new Promise(() => {}), { logger });
    const failed = expect(step).rejects.toMatchObject({
      code: "deadline",
      message: "not done within 1 min: opening the disk",
    });
    await vi.advanceTimersByTimeAsync(3_000);
    expect(said).toEqual(["the start waits for this: opening the disk"]);
    await vi.advanceTimersByTimeAsync(57_000);
    await failed;
  });

  it("that ends after its deadline gives back what it opened", async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const given: string[] = [];
    const step = startStep("opening", promise, { lengthMs: 10, late: (what) => void given.push(what) });
    const failed = expect(step).rejects.toMatchObject({ code: "deadline" });
    await vi.advanceTimersByTimeAsync(10);
    await failed;
    resolve("the disk");
    await vi.advanceTimersByTimeAsync(0);
    expect(given).toEqual(["the disk"]);
  });
});
