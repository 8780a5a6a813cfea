import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts", "test/**/*.test.tsx"],
    // Two files at a time: the rings with real processes measure deadlines, not throughput.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    disableConsoleIntercept: true,
  },
});
