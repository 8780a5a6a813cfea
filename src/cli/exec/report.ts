import { shown } from "../../core/text.js";
import { formatDuration } from "../../core/units.js";
import { localTime, type Output } from "../output.js";
import type { Report } from "./machine/schedule.js";

/** Columns of an id in a line. */
const ID_COLUMNS = 60;

/** Tells people and programs what becomes of the commands. Their own output goes past it. */
export function show(report: Report, output: Output): void {
  output.document(documentOf(report));
  if (report.type === "begun") {
    const waiting = report.waiting > 0 ? `; ${report.waiting} are waiting` : "";
    output.note(`the command runs for each item${waiting}; Ctrl-C ends`);
    return;
  }
  if (report.type === "gap") {
    const { fromMs, untilMs, retentionMs } = report;
    const [silence, life] = [untilMs - fromMs, retentionMs].map(formatDuration);
    output.warning(
      `nothing was heard from ${localTime(fromMs)} to ${localTime(untilMs)} (${silence}), longer than items are kept (${life}): the command did not run for what came and expired meanwhile`,
    );
    return;
  }
  const id = shown(report.task.id, ID_COLUMNS);
  switch (report.type) {
    case "started":
      output.detail(`the command starts for ${id}${attemptWords(report.attempt)}`);
      break;
    case "finished":
      output[report.attempt > 1 ? "note" : "detail"](
        `the command is done for ${id}${attemptWords(report.attempt)}`,
      );
      break;
    case "failed": {
      const { attempt, fault, againInMs } = report;
      const again = againInMs === undefined ? "" : `; again in ${formatDuration(againInMs)}`;
      output.warning(`the command failed for ${id}${attemptWords(attempt)}: ${fault}${again}`);
      break;
    }
    case "expired": {
      const tried = report.attempts === 0 ? "did not run" : `failed (${attempts(report.attempts)})`;
      output.warning(`${id} has expired, and the command ${tried}: it does not run any more`);
      break;
    }
    case "replaced":
      output.detail(`another item replaces ${id}: the command runs for that one`);
      break;
    case "missing":
      output.note(`the node does not show ${id}; asking again in ${formatDuration(report.againInMs)}`);
  }
}

function documentOf(report: Report): object {
  if (!("task" in report)) return report;
  const { type, task, ...rest } = report;
  return { type, ...{ id: task.id, digest: task.digest, timestampMs: task.timestampMs }, ...rest };
}

function attemptWords(attempt: number): string {
  return attempt > 1 ? ` (attempt ${attempt})` : "";
}

function attempts(count: number): string {
  return count === 1 ? "1 attempt" : `${count} attempts`;
}
