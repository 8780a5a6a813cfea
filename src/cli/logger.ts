import type { Logger } from "pino";

/**
 * A logger that writes to stderr, at once: what was logged before a crash is there. To a terminal it writes by way of the
 * process's own stream, as everything else does, so that it does not cover the line of --live.
 * @param level a level of pino; `silent` logs nothing
 */
export async function openLogger(level: string, format: string | undefined): Promise<Logger> {
  const { pino } = await import("pino");
  const { stderr } = process;
  if ((format ?? (stderr.isTTY ? "pretty" : "json")) === "json") {
    return pino({ level }, stderr.isTTY ? stderr : pino.destination({ dest: 2, sync: true }));
  }
  const { default: pretty } = await import("pino-pretty");
  const colorize = stderr.isTTY === true && !process.env.NO_COLOR;
  const destination = stderr.isTTY ? stderr : 2;
  return pino({ level }, pretty({ destination, sync: true, colorize, ignore: "pid,hostname" }));
}
