import type { Peer } from "../broadcast.js";
import type { Board } from "./board.js";
import { counted, type Standing, span, standingOf, type Tone, visible } from "./words.js";

interface Verdict {
  readonly sign: string;
  readonly text: string;
  readonly tone: Tone;
}

/** The verdict, large enough to read from afar: whether all nodes hold the same set, and whether the page is up to date. */
export function Header({ board, nowMs }: { readonly board: Board; readonly nowMs: number }) {
  const { status } = board;
  const verdict = verdictOf(board);
  return (
    <header class="top">
      <div class="top-line">
        <p class="brand">
          <Mark /> hubcast
        </p>
        <ConnectionState board={board} nowMs={nowMs} />
      </div>
      <h1 class={`verdict ${verdict.tone}`}>
        <span class="sign" aria-hidden="true">
          {verdict.sign}
        </span>
        <span>{verdict.text}</span>
      </h1>
      {status && (
        <p class="quiet">
          node <bdi>{visible(status.name)}</bdi> in cluster <bdi>{visible(status.cluster)}</bdi>
          {" · "}items are kept for {span(status.retentionMs / 1000)}
        </p>
      )}
    </header>
  );
}

function ConnectionState({ board, nowMs }: { readonly board: Board; readonly nowMs: number }) {
  const { connection } = board;
  const [tone, text] = {
    connecting: ["quiet", "connecting…"],
    behind: ["warn", "catching up…"],
    live: ["good", "live"],
    lost: ["bad", "not connected"],
    locked: ["quiet", "no token"],
  }[connection.state] as [Tone, string];
  return (
    <p class={`connection ${tone}`} role="status">
      <span class="dot" aria-hidden="true" /> {text}
      {connection.state === "lost" && ` for ${span((nowMs - connection.sinceMs) / 1000)}`}
    </p>
  );
}

export function verdictOf({ status, peers, connection }: Board): Verdict {
  if (connection.state === "lost") return { sign: "×", text: "The node does not answer", tone: "bad" };
  if (!status) return { sign: "…", text: "Connecting to the node", tone: "quiet" };
  const items = counted(status.items, "item");
  const standings = peers.filter(({ state }) => state !== "left").map(standingOf);
  const odd = (words: readonly string[]) => standings.filter(({ word }) => words.includes(word)).length;
  const nodes = standings.length + 1;
  const differing = odd(["differs"]);
  if (differing > 0)
    return { sign: "≠", text: `${differing} of ${nodes} nodes ${be(differing)} other items`, tone: "bad" };
  const lost = odd(["lost"]);
  if (lost > 0)
    return { sign: "×", text: `${lost} of ${nodes} nodes ${lost === 1 ? "is" : "are"} lost`, tone: "bad" };
  const unreached = odd(["not reached"]);
  if (unreached > 0)
    return { sign: "!", text: `${counted(unreached, "node")} cannot be reached`, tone: "warn" };
  const byPolicy = odd(["differs by policy"]);
  if (byPolicy > 0)
    return { sign: "~", text: `${byPolicy} of ${nodes} nodes ${be(byPolicy)} another policy`, tone: "warn" };
  const unknown = odd(["not known yet"]);
  if (unknown > 0)
    return { sign: "?", text: `${items} here; ${counted(unknown, "node")} not compared yet`, tone: "quiet" };
  if (nodes === 1) {
    const text =
      status.items === 0 ? "This node is alone, and has no item yet" : `${items}, on this node alone`;
    return { sign: "○", text, tone: "quiet" };
  }
  const all = nodes === 2 ? "Both nodes" : `All ${status.members} nodes`;
  if (status.items === 0) return { sign: "=", text: `${all} agree: nothing was posted yet`, tone: "good" };
  return { sign: "=", text: `${all} hold the same ${items}`, tone: "good" };
}

function be(count: number): string {
  return count === 1 ? "has" : "have";
}

function Mark() {
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true">
      <circle cx="8" cy="8" r="2.6" fill="currentColor" />
      <circle cx="8" cy="8" r="6.6" fill="none" stroke="currentColor" stroke-width="1.5" />
    </svg>
  );
}

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
