import { render } from "preact";
import { useEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { topicOf } from "../../core/topic.js";
import type { PostResult } from "../broadcast.js";
import { Refusal } from "./api.js";
import { Board } from "./board.js";
import { Header, Members, verdictOf } from "./cluster.js";
import { Detail } from "./detail.js";
import { List, linkTo, Topics, usePlace } from "./list.js";
import { clock, counted, visible } from "./words.js";

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

interface Outcome {
  readonly tone: "good" | "warn" | "bad";
  readonly text: string;
}

function PostBox({ board, topic }: { readonly board: Board; readonly topic: string | undefined }) {
  const [raw, setRaw] = useState("");
  const [named, setNamed] = useState<string | undefined>(undefined);
  const [outcome, setOutcome] = useState<Outcome>();
  const [isPosting, setPosting] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const under = (named ?? topic ?? "").trim();

  const post = async (event: Event) => {
    event.preventDefault();
    if (raw.trim() === "" || isPosting) return;
    if (under !== "" && topicOf(`${under}/x`) !== under) {
      setOutcome({
        tone: "bad",
        text: "A topic is a name, or several with / between them, such as alerts/disk.",
      });
      return;
    }
    setPosting(true);
    setOutcome(undefined);
    try {
      const result = await board.api.post(under === "" ? { raw } : { id: `${under}/${newId()}`, raw });
      setOutcome(outcomeOf(result));
      setRaw("");
    } catch (error) {
      setOutcome({ tone: "bad", text: faultOf(error) });
    }
    setPosting(false);
  };
  const isFilled = raw !== "";
  return (
    <form class={`post${isFilled ? " filled" : ""}`} ref={form} onSubmit={post} aria-label="Post">
      <label class="spoken" for="raw">
        Text to post
      </label>
      <textarea
        id="raw"
        rows={isFilled ? Math.min(12, Math.max(3, raw.split("\n").length + 1)) : 1}
        placeholder="Tell every node…"
        value={raw}
        dir="auto"
        onInput={(event) => setRaw(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.current?.requestSubmit();
        }}
      />
      <div class="post-line">
        <label for="topic">
          Topic
          <input
            id="topic"
            list="topics"
            value={named ?? topic ?? ""}
            placeholder="none"
            autocomplete="off"
            spellcheck={false}
            maxLength={200}
            onInput={(event) => setNamed(event.currentTarget.value)}
          />
        </label>
        <datalist id="topics">
          {board.feed.topics.map((each) => (
            <option key={each} value={each} />
          ))}
        </datalist>
        <button type="submit" class="main" disabled={raw.trim() === "" || isPosting} title="Ctrl+Enter">
          {isPosting ? "Posting…" : "Post"}
        </button>
      </div>
      <p class={`outcome ${outcome?.tone ?? ""}`} role="status">
        {outcome?.text}
      </p>
    </form>
  );
}

function outcomeOf({ receipt, digest, visible }: PostResult): Outcome {
  if (visible !== digest)
    return {
      tone: "warn",
      text: "Accepted, but hidden behind an item of the same id that was posted first.",
    };
  if (!receipt || receipt.alone)
    return { tone: "warn", text: "Accepted. This node alone has it: there is no other." };
  const { holders, of, missing, refused } = receipt;
  const slowestMs = Math.max(0, ...holders.map(({ afterMs }) => afterMs));
  if (receipt.complete)
    return { tone: "good", text: `Held by all ${of + 1} nodes after ${Math.ceil(slowestMs)} ms.` };
  const names = [...missing, ...refused].slice(0, 5).map(({ name }) => name);
  const what = refused.length > 0 && missing.length === 0 ? "refused by" : "not yet by";
  return {
    tone: "warn",
    text: `Held by ${holders.length + 1} of ${counted(of + 1, "node")}; ${what} ${names.join(", ")}.`,
  };
}

function faultOf(error: unknown): string {
  if (error instanceof Refusal) return [`Not posted: ${error.message}.`, ...error.suggestions].join(" ");
  return "Not posted: the node does not answer. The text is still here.";
}

/** As UUID version 7: ids that sort by time. crypto.randomUUID is missing where a page does not come by HTTPS. */
function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(10));
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const time = Date.now().toString(16).padStart(12, "0");
  const variant = "89ab"[bytes[2]! & 3];
  return `${time.slice(0, 8)}-${time.slice(8)}-7${digits.slice(0, 3)}-${variant}${digits.slice(5, 8)}-${digits.slice(8, 20)}`;
}

const board = new Board();
render(<App board={board} />, document.getElementById("board")!);
void board.start();
