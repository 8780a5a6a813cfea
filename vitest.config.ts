import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * Spreads the files of real processes, which take long and have deadlines, evenly among the others. The last quarter of the
 * others comes after all of them, so that no long file runs alone at the end.
 */
class Spread extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => moduleId.includes("/test/processes/");
    const [long, short] = [sorted.filter(isLong), sorted.filter((file) => !isLong(file))];
    const share = Math.floor((0.75 * short.length) / long.length);
    return [...long.flatMap((file) => [file, ...short.splice(0, share)]), ...short];
  }
}

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts", "test/**/*.test.tsx"],
    globalSetup: "test/fixtures/scratch.ts",
    // Files wait for timers and processes for half of their time: four keep two cores busy, more would make deadlines tight.
    maxWorkers: 4,
    sequence: { sequencer: Spread },
    testTimeout: 30_000,
    hookTimeout: 30_000,
    disableConsoleIntercept: true,
  },
});
