import type { Logger } from "pino";

/**
 * A logger that writes to stderr, at once: what was logged before a crash is there.
 * @param level a level of pino; `silent` logs nothing
 */
export async function openLogger(level: string, format: string | undefined): Promise<Logger> {
  const { pino } = await import("pino");
  if ((format ?? (process.stderr.isTTY ? "pretty" : "json")) === "json") {
    return pino({ level }, pino.destination({ dest: 2, sync: true }));
  }
  const { default: pretty } = await import("pino-pretty");
  const colorize = process.stderr.isTTY === true && !process.env.NO_COLOR;
  return pino({ level }, pretty({ destination: 2, sync: true, colorize, ignore: "pid,hostname" }));
}
