import { HubcastError } from "../core/errors.js";
import type { Receipt } from "../node/broadcast.js";

/** Why an item counts as late: it was not held by as many nodes as asked, in time. */
export function lateError({ alone, holders, missing, refused }: Receipt): HubcastError {
  const those = (word: string, members: Receipt["missing"]) =>
    members.length === 0 ? [] : [`${word}: ${members.map(({ name }) => name).join(", ")}`];
  const why = [...those("missing", missing), ...those("refused by policy", refused)];
  const what =
    why.length > 0 ? why.join("; ") : alone ? "no other node is connected" : "no more nodes are connected";
  return new HubcastError(
    "deadline",
    `${holders.length} other nodes hold the item at the deadline; ${what}`,
    {
      suggestions: [
        "The item is accepted and still spreads; see hubcast broadcast peers.",
        "Or give it longer: --timeout 30s",
      ],
    },
  );
}
