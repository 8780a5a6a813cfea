import { render } from "preact";
import { useEffect, useMemo, useReducer, useState } from "preact/hooks";
import { Board } from "./board.js";
import { Header, Members, verdictOf } from "./cluster.js";
import { Detail } from "./detail.js";
import { List, linkTo, Topics, usePlace } from "./list.js";
import { PostBox } from "./post-box.js";
import { clock, visible } from "./words.js";

function App({ board }: { readonly board: Board }) {
  const [, draw] = useReducer((count: number) => count + 1, 0);
  useMemo(() => {
    board.onChange = () => draw(undefined as never);
  }, [board]);
  const nowMs = useNow();
  const place = usePlace();
  useEffect(() => board.choose(place.topic), [board, place.topic]);
  useTitle(board);

  if (board.role === "none") return <TokenForm board={board} />;
  const isOdd = ["bad", "warn"].includes(verdictOf(board).tone);
  const close = () => {
    location.hash = linkTo({ topic: place.topic });
  };
  return (
    <>
      <Header board={board} nowMs={nowMs} />
      <Notices board={board} nowMs={nowMs} />
      <main class={isOdd ? "odd" : undefined}>
        <section class="items" aria-label="Items">
          {board.role === "post" && <PostBox board={board} topic={place.topic} />}
          <Topics topics={board.feed.topics} chosen={place.topic} />
          <List board={board} topic={place.topic} nowMs={nowMs} />
        </section>
        <Members board={board} nowMs={nowMs} />
      </main>
      {place.item !== undefined && board.role !== undefined && (
        <Detail key={place.item} board={board} id={place.item} nowMs={nowMs} onClose={close} />
      )}
    </>
  );
}

/** The time, anew each second: what is shown as `40 s ago` goes on. */
function useNow(): number {
  const [nowMs, setNowMs] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return nowMs;
}

/** A tab in the background counts what came since somebody looked. */
function useTitle(board: Board): void {
  const [seen, setSeen] = useState(0);
  const { arrived } = board.feed;
  useEffect(() => {
    const look = () => setSeen(board.feed.arrived);
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, [board]);
  const unseen = document.hidden ? arrived - seen : 0;
  const name = board.status ? `${board.status.cluster} · hubcast` : "hubcast";
  useEffect(() => {
    document.title = unseen > 0 ? `(${unseen}) ${name}` : name;
  }, [unseen, name]);
}

/** The faults, each with its advice: that of the page's own connection first. */
function Notices({ board }: { readonly board: Board; readonly nowMs: number }) {
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

function TokenForm({ board }: { readonly board: Board }) {
  const [token, setToken] = useState("");
  const use = async (event: Event) => {
    event.preventDefault();
    await board.takeToken(token.trim());
  };
  return (
    <main class="token">
      <form onSubmit={use}>
        <h1>This node asks for a token</h1>
        <p class="quiet">
          It is one line of the file that the node was started with (<code>--token-file</code>). A token that
          may only read shows the board without posting.
        </p>
        <label for="token">Token</label>
        <input
          id="token"
          type="password"
          autocomplete="current-password"
          required
          value={token}
          aria-describedby="token-fault"
          onInput={(event) => setToken(event.currentTarget.value)}
        />
        <button type="submit" class="main">
          Open the board
        </button>
        <p id="token-fault" class="bad" role="alert">
          {board.tokenFault}
        </p>
        <p class="quiet">It is kept until this tab is closed, and is sent to this node alone.</p>
      </form>
    </main>
  );
}

const board = new Board();
render(<App board={board} />, document.getElementById("board")!);
void board.start();
