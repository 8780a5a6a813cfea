/**
 * The state of `watch --exec` as lines of JSON, which are appended as things happen. A line that is written later is true
 * later: an item waits, then it is done or dropped.
 *
 *     {"hubcast":"watch","format":1,"cluster":"default","since":"2026-11-28T18:00:00.000Z"}
 *     {"waits":"DIGEST","id":"notice-1","stamped":"2026-11-28T18:00:01.000Z","place":"1a2b-7"}
 *     {"done":"DIGEST","stamped":"2026-11-28T18:00:01.000Z"}
 */

/** The fields of an item that a command gets in its environment. */
export interface Task {
  readonly digest: string;
  readonly id: string;
  /** Epoch ms. */
  readonly timestampMs: number;
  /** Public key of its author, in hex; absent without one. */
  readonly key?: string;
}

/** The watcher that a state belongs to. */
export interface Beginning {
  readonly cluster: string;
  /** The filter of the watcher; absent without one. */
  readonly topic?: string;
  /** Epoch ms: items stamped before are none of this watcher's. */
  readonly sinceMs: number;
}

export type StateRecord =
  /** It arrived; with the place behind it, unless it is one of those that a node lists. */
  | { readonly type: "waits"; readonly task: Task; readonly place?: string | undefined }
  /** Its command has succeeded, or it was there before the beginning: it never runs again. */
  | { readonly type: "done"; readonly digest: string; readonly timestampMs: number }
  /** It no longer waits, and was not done: it expired, or another item of its id has replaced it. */
  | { readonly type: "dropped"; readonly digest: string }
  /** All events up to that place were seen, and nothing was missed until then (epoch ms). */
  | { readonly type: "place"; readonly place?: string | undefined; readonly seenMs: number };

const FORMAT = 1;

/** The first line, without its line break. */
export function beginningLine({ cluster, topic, sinceMs }: Beginning): string {
  return JSON.stringify({ hubcast: "watch", format: FORMAT, cluster, topic, since: text(sinceMs) });
}

/** @returns what is wrong with it, in words, when it is no first line of ours */
export function beginningIn(line: string): Beginning | { readonly fault: string } {
  const fields = objectIn(line);
  if (fields?.hubcast !== "watch") return { fault: "its first line is not that of a state file" };
  if (fields.format !== FORMAT)
    return { fault: `its format is ${JSON.stringify(fields.format)}, this hubcast knows ${FORMAT}` };
  const { cluster, topic, since } = fields;
  const sinceMs = instantIn(since);
  if (typeof cluster !== "string" || sinceMs === undefined || !isTextOrAbsent(topic))
    return { fault: "its first line is damaged" };
  return { cluster, sinceMs, ...(topic !== undefined && { topic }) };
}

/** Any line behind the first, without its line break. */
export function recordLine(record: StateRecord): string {
  switch (record.type) {
    case "waits": {
      const { digest, id, timestampMs, key } = record.task;
      return JSON.stringify({ waits: digest, id, stamped: text(timestampMs), key, place: record.place });
    }
    case "done":
      return JSON.stringify({ done: record.digest, stamped: text(record.timestampMs) });
    case "dropped":
      return JSON.stringify({ dropped: record.digest });
    case "place":
      return JSON.stringify({ seen: text(record.seenMs), place: record.place });
  }
}

/** @returns nothing when it is no such line */
export function recordIn(line: string): StateRecord | undefined {
  const fields = objectIn(line);
  if (!fields) return undefined;
  const { waits, done, dropped, id, key, place } = fields;
  const stampedMs = instantIn(fields.stamped);
  const seenMs = instantIn(fields.seen);
  if (!isTextOrAbsent(place) || !isTextOrAbsent(key)) return undefined;
  if (isDigest(waits) && typeof id === "string" && stampedMs !== undefined) {
    const task = { digest: waits, id, timestampMs: stampedMs, ...(key !== undefined && { key }) };
    return { type: "waits", task, ...(place !== undefined && { place }) };
  }
  if (isDigest(done) && stampedMs !== undefined)
    return { type: "done", digest: done, timestampMs: stampedMs };
  if (isDigest(dropped)) return { type: "dropped", digest: dropped };
  if (seenMs !== undefined) return { type: "place", seenMs, ...(place !== undefined && { place }) };
  return undefined;
}

function objectIn(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function text(atMs: number): string {
  return new Date(atMs).toISOString();
}

function instantIn(value: unknown): number | undefined {
  const atMs = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isNaN(atMs) ? undefined : atMs;
}

function isDigest(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
}

function isTextOrAbsent(value: unknown): value is string | undefined {
  return value === undefined || typeof value === "string";
}
