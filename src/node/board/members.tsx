import type { Peer } from "../broadcast.js";
import type { Board } from "./board.js";
import { counted, type Standing, span, standingOf, visible } from "./words.js";

const ORDER = ["bad", "warn", "good", "quiet"];
/** More do not help anybody who looks at a screen. */
const MEMBERS_SHOWN = 60;

/** The nodes of the cluster and how their sets compare: what needs a look stands first. */
export function Members({ board, nowMs }: { readonly board: Board; readonly nowMs: number }) {
  const { status, peers } = board;
  if (!status) return null;
  const rows = peers.map((peer) => ({ peer, standing: standingOf(peer) }));
  rows.sort(
    (a, b) =>
      ORDER.indexOf(a.standing.tone) - ORDER.indexOf(b.standing.tone) || (a.peer.name < b.peer.name ? -1 : 1),
  );
  const more = rows.length - MEMBERS_SHOWN;
  return (
    <aside class="members" aria-labelledby="members-title">
      <h2 id="members-title">
        Nodes{" "}
        <span class="quiet">{status.membersEstimated ? `about ${status.members}` : status.members}</span>
      </h2>
      <ul>
        <li>
          <Sign standing={selfStanding(status.state)} />
          <div>
            <p class="member-name">
              <bdi>{visible(status.name)}</bdi>
            </p>
            <p class="quiet">
              this node, {status.state} · {counted(status.items, "item")}
            </p>
          </div>
        </li>
        {rows.slice(0, MEMBERS_SHOWN).map(({ peer, standing }) => (
          <li key={`${peer.id} ${peer.name}`}>
            <Sign standing={standing} />
            <div>
              <p class="member-name">
                <bdi>{visible(peer.name || peer.address)}</bdi>
              </p>
              <p class="quiet">
                <span class={standing.tone}>{standing.word}</span>
                {factsOf(peer, nowMs)}
              </p>
            </div>
          </li>
        ))}
      </ul>
      {more > 0 && (
        <p class="quiet">
          and {more} more: <code>hubcast broadcast peers</code>
        </p>
      )}
      {peers.length === 0 && (
        <p class="quiet">
          No other node yet. Start one on another machine of this network: it is found by itself.
        </p>
      )}
      {board.hasToken && (
        <button type="button" class="plain" onClick={() => board.takeToken(undefined)}>
          Forget the token
        </button>
      )}
    </aside>
  );
}

function Sign({ standing }: { readonly standing: Standing }) {
  return (
    <span class={`sign ${standing.tone}`} aria-hidden="true">
      {standing.sign}
    </span>
  );
}

function selfStanding(state: string): Standing {
  if (state === "ready") return { sign: "●", word: state, tone: "good" };
  return { sign: "!", word: state, tone: "warn" };
}

function factsOf({ state, difference, sinceMs, summary, roundTripMs, reason }: Peer, nowMs: number): string {
  if (state !== "connected") {
    const forTime = ` · for ${span((nowMs - sinceMs) / 1000)}`;
    return state === "left" || reason === undefined ? forTime : `${forTime} · ${visible(reason)}`;
  }
  if (difference && summary)
    return ` · for ${span((nowMs - difference.sinceMs) / 1000)} · ${summary.items} there, ${difference.itemsHere} here`;
  return roundTripMs === undefined ? "" : ` · ${roundTripMs < 1 ? "<1" : Math.round(roundTripMs)} ms away`;
}
