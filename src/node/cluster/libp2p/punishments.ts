/** Points that one punishment costs: two take a peer out of gossip, four end it. */
const POINTS = 20;
const POINTS_MAX = 100;
const HALF_LIFE_MS = 60_000;
/** Punished peers remembered; the one punished longest ago is forgotten first. */
const PUNISHED_MAX = 1_024;

/** What peers have been punished for, fading with time. */
export class Punishments {
  readonly #byPeer = new Map<string, { readonly points: number; readonly atMs: number }>();

  add(peerId: string, nowMs: number): void {
    const points = Math.min(POINTS_MAX, this.points(peerId, nowMs) + POINTS);
    this.#byPeer.delete(peerId);
    this.#byPeer.set(peerId, { points, atMs: nowMs });
    if (this.#byPeer.size > PUNISHED_MAX) this.#byPeer.delete(this.#byPeer.keys().next().value!);
  }

  points(peerId: string, nowMs: number): number {
    const entry = this.#byPeer.get(peerId);
    if (!entry) return 0;
    const points = entry.points * 0.5 ** ((nowMs - entry.atMs) / HALF_LIFE_MS);
    if (points >= 0.5) return points;
    this.#byPeer.delete(peerId);
    return 0;
  }
}
