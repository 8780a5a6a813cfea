import { HubcastError } from "../core/errors.js";
import { topicAdvice, topicFault } from "../core/topic.js";

/**
 * The id of an item under a topic, ready to be posted.
 * @param name what stands behind the topic, without `/`; absent: a UUIDv7
 * @throws invalidOption when the topic is none, or the name is empty or has a `/`
 */
export function idUnder(topic: string, name: string = uuidv7(Date.now())): string {
  const fault = topicFault(topic);
  if (fault !== undefined)
    throw new HubcastError("invalidOption", `${JSON.stringify(topic)} is no topic: ${fault}`, {
      suggestions: topicAdvice(topic),
    });
  if (name !== "" && !name.includes("/")) return `${topic}/${name}`;
  const what = name === "" ? "is empty" : "has a /, which would make another topic";
  throw new HubcastError("invalidOption", `the id under topic ${topic} ${what}: ${JSON.stringify(name)}`, {
    suggestions: [
      "Leave the id out to have one made, or give one segment.",
      "Or give the whole path as the id, without a topic.",
    ],
  });
}

/**
 * RFC 9562 version 7: ids that sort by the time they were made. The global `crypto` is loaded at the first call: commands
 * that make no id start 3 ms sooner than with node:crypto imported.
 * @param nowMs epoch ms
 */
export function uuidv7(nowMs: number): string {
  const time = Math.floor(nowMs).toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${crypto.randomUUID().slice(15)}`;
}
