import type { Board } from "./board.js";
import { clock, visible } from "./words.js";

/** The faults, each with its advice: that of the page's own connection first. */
export function Notices({ board }: { readonly board: Board; readonly nowMs: number }) {
  const { connection, status } = board;
  return (
    <div class="notices" role="status">
      {connection.state === "lost" && (
        <div class="notice bad">
          <p>
            <b>No connection to the node since {clock(connection.sinceMs)}.</b>{" "}
            {connection.refusal !== undefined && `${sentence(visible(connection.refusal))} `}
            {board.feed.rows.length > 0 && "What is shown here may be out of date. "}
            The page tries again by itself.
          </p>
        </div>
      )}
      {status?.details.map(({ code, message, advice, peer }) => (
        <div class="notice warn" key={`${code} ${peer?.id}`}>
          <p>
            <b>{sentence(visible(message))}</b> <span>{visible(advice)}</span>
          </p>
        </div>
      ))}
    </div>
  );
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
