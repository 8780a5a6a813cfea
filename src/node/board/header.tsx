import type { Board } from "./board.js";
import { counted, span, standingOf, type Tone, visible } from "./words.js";

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
