import { LIMITS } from "./limits.js";
import { hasControl } from "./text.js";

/** A slash and a character of the id have to follow. */
export const TOPIC_BYTES_MAX = LIMITS.idBytesMax - 2;

/**
 * The topic of an item: the part of its id before the last `/`.
 * @returns `undefined` when the id is no path of two or more segments, none of them empty
 */
export function topicOf(id: string): string | undefined {
  const end = id.lastIndexOf("/");
  return end > 0 && isPath(id) ? id.slice(0, end) : undefined;
}

/** Whether a topic is that of the filter, or below it. */
export function isWithin(topic: string, filter: string): boolean {
  return topic.startsWith(filter) && (topic.length === filter.length || topic[filter.length] === "/");
}

/** Whether the item of an id has the topic of the filter, or one below it. */
export function hasTopic(id: string, filter: string): boolean {
  const topic = topicOf(id);
  return topic !== undefined && isWithin(topic, filter);
}

/** The reason why a text is no topic, for people; `undefined` when it is one. */
export function topicFault(text: string): string | undefined {
  if (text === "") return "it is empty";
  if (!isPath(text)) return "it has an empty segment: it begins or ends with /, or has two in a row";
  if (hasControl(text)) return "it has a control character";
  if (!text.isWellFormed()) return "it is not valid UTF-8 (it has a lone surrogate)";
  const bytes = Buffer.byteLength(text);
  return bytes > TOPIC_BYTES_MAX
    ? `it has ${bytes} bytes; at most ${TOPIC_BYTES_MAX} are allowed`
    : undefined;
}

/** The advice for a text that is no topic. */
export function topicAdvice(text: string): readonly string[] {
  const meant = text
    .split("/")
    .filter((segment) => segment !== "")
    .join("/");
  const isNear = meant !== text && topicFault(meant) === undefined;
  return [
    isNear
      ? `Write ${meant}: it stands for that topic and all below it.`
      : "Write segments with / between them, such as alerts/disk.",
  ];
}

function isPath(text: string): boolean {
  return !text.startsWith("/") && !text.endsWith("/") && !text.includes("//");
}
