/** How a client behaves once the run has begun. Chaotic ones receive, badly, and send no messages. */
export type Role = "healthy" | ChaosRole;
export type ChaosRole = "slowReader" | "staller" | "halfOpen" | "midFrameKiller";

/** The one that costs a careless hub most comes first. */
const CHAOS_ROLES: readonly ChaosRole[] = ["staller", "slowReader", "halfOpen", "midFrameKiller"];

/**
 * Who plays what: the last clients are the chaotic ones, the kinds in turn.
 * @param share of the clients that is chaotic, 0 to 1; at least one is when it is over 0, and two stay healthy
 */
export function rolesOf(clients: number, share: number): Role[] {
  const chaotic = share === 0 ? 0 : Math.min(clients - 2, Math.max(1, Math.round(clients * share)));
  return Array.from({ length: clients }, (_, index) => {
    const place = index - (clients - chaotic);
    return place < 0 ? "healthy" : CHAOS_ROLES[place % CHAOS_ROLES.length]!;
  });
}
