import { ago, exact } from "./words.js";

interface WhenProps {
  readonly timestampMs: number;
  readonly nowMs: number;
}

/** How long ago, with the exact time behind it. */
export function When({ timestampMs, nowMs }: WhenProps) {
  return (
    <time dateTime={new Date(timestampMs).toISOString()} title={exact(timestampMs)}>
      {ago(timestampMs, nowMs)}
    </time>
  );
}
