/** Epoch ms by a clock that is never set back. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
