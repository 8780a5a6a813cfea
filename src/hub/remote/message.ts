import type { HubFrame } from "../protocol/decode.js";
import type { HubClientEvent, HubMessage } from "./options.js";

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

/** What a frame says of other clients, or of messages that may be missing; undefined when it says neither. */
export function eventOf(frame: HubFrame): HubClientEvent | undefined {
  if (frame.type === "arrived" || frame.type === "departed") return frame;
  if (frame.type !== "gap") return undefined;
  return { type: "gap", hub: frame.hub, missedFromMs: frame.fromMs, missedUntilMs: frame.untilMs };
}

export function messageSize({ payload }: HubMessage): number {
  return payload.length + MESSAGE_BYTES;
}
