import { useEffect, useMemo, useReducer, useState } from "preact/hooks";
import type { Board } from "./board.js";
import { Detail } from "./detail.js";
import { Header, verdictOf } from "./header.js";
import { List } from "./list.js";
import { Members } from "./members.js";
import { Notices } from "./notices.js";
import { linkTo, usePlace } from "./place.js";
import { PostBox } from "./post-box.js";
import { TokenForm } from "./token-form.js";
import { Topics } from "./topics.js";

export function App({ board }: { readonly board: Board }) {
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
