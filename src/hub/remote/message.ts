import type { HubFrame } from "../protocol/decode.js";
import type { HubMessage } from "./options.js";

/** What a message costs besides its payload, so that empty ones fill the backlog too. */
const MESSAGE_BYTES = 64;

/** The message in a frame, with a payload of its own; undefined when it is none. */
export function messageOf(frame: HubFrame): HubMessage | undefined {
  if (frame.type === "message") {
    const { sender, to } = frame;
    const payload = Buffer.from(frame.payload);
    return sender === undefined ? { to, payload } : { sender, to, payload };
  }
  if (frame.type !== "groupMessage") return undefined;
  const { sender, group } = frame;
  return { sender, to: { group }, payload: Buffer.from(frame.payload) };
}

export function messageSize({ payload }: HubMessage): number {
  return payload.length + MESSAGE_BYTES;
}
