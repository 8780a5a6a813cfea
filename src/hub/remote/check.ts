import { HubcastError } from "../../core/errors.js";
import { HUB_LIMITS } from "../protocol/limits.js";

const { nameBytesMax, payloadBytesMax, receiversMax } = HUB_LIMITS;

/** @throws invalidOption */
export function checkGroup(group: string): void {
  const bytes = Buffer.byteLength(group);
  if (bytes >= 1 && bytes <= nameBytesMax) return;
  throw new HubcastError("invalidOption", `the group's name has ${bytes} bytes`, {
    suggestions: [`Use 1 to ${nameBytesMax} bytes.`],
  });
}

/** @throws tooLarge */
export function checkReceivers(receivers: readonly number[]): void {
  if (receivers.length <= receiversMax) return;
  throw new HubcastError("tooLarge", `${receivers.length} receivers; a relay takes ${receiversMax}`, {
    suggestions: ["Send it in several relays, or to all, or to a group."],
  });
}

/** The payload as bytes. @throws tooLarge */
export function payloadBytes(payload: Uint8Array | string): Uint8Array {
  const bytes = typeof payload === "string" ? Buffer.from(payload) : payload;
  if (bytes.length <= payloadBytesMax) return bytes;
  throw new HubcastError("tooLarge", `the payload has ${bytes.length} bytes`, {
    suggestions: [`Send at most ${payloadBytesMax} bytes at a time.`],
  });
}
