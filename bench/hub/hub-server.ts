// A hub in a process of its own, for hub.ts, as `hub start` runs it. Options as one JSON argument.
const { startHub } = (await import(
  new URL("../../build/src/hub/index.js", import.meta.url).href
)) as typeof import("../../src/hub/index.js");

const logger = {
  debug: () => {},
  info: () => {},
  warn: (fields: object, message: string) => console.error(message, JSON.stringify(fields)),
};
await startHub({ logger, ...JSON.parse(process.argv[2]!) });
// A profile is written at the exit only.
process.on("SIGTERM", () => process.exit(0));
