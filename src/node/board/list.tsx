import { useEffect, useRef, useState } from "preact/hooks";
import { isWithin, topicOf } from "../../core/topic.js";
import type { Board } from "./board.js";
import { ROWS_MAX, type Row } from "./feed.js";
import { visible, visibleText, When } from "./words.js";

/** How long an item that came while the page watched is marked as new. */
const NEW_MS = 30_000;
/** A screen reader is told of new items at most so often. */
const SPOKEN_EVERY_MS = 3_000;

interface ListProps {
  readonly board: Board;
  readonly topic: string | undefined;
  readonly nowMs: number;
}

/** The items, newest first, as they come. */
export function List({ board, topic, nowMs }: ListProps) {
  const { feed, connection, status } = board;
  const { rows } = feed;
  const isEmpty = rows.length === 0 && connection.state === "live";
  return (
    <>
      <NewAbove board={board} />
      <Spoken newest={rows.find(({ arrivedAtMs }) => arrivedAtMs !== undefined)} />
      {isEmpty && <Empty topic={topic} role={board.role} />}
      <ol class="rows">
        {rows.map((row, index) => (
          <Entry
            key={row.digest}
            row={row}
            topic={topic}
            isLead={index === 0}
            isNew={row.arrivedAtMs !== undefined && nowMs - row.arrivedAtMs < NEW_MS}
            nowMs={nowMs}
          />
        ))}
      </ol>
      {rows.length > 0 && (
        <footer class="rows-end quiet">
          {feed.isFull ? (
            <p>
              The newest {ROWS_MAX} of {status?.items ?? "all"} are shown; <code>hubcast broadcast list</code>{" "}
              has the rest.
            </p>
          ) : board.hasOlder ? (
            <Older board={board} />
          ) : (
            <p>That is all there is.</p>
          )}
        </footer>
      )}
    </>
  );
}

interface EntryProps {
  readonly row: Row;
  readonly topic: string | undefined;
  readonly isLead: boolean;
  readonly isNew: boolean;
  readonly nowMs: number;
}

function Entry({ row, topic, isLead, isNew, nowMs }: EntryProps) {
  const { id, text, isCut, timestampMs, author } = row;
  const classes = ["row", isLead && "lead", row.arrivedAtMs !== undefined && "arrived"];
  return (
    <li class={classes.filter(Boolean).join(" ")}>
      <a class="row-text" href={linkTo({ topic, item: id })} dir="auto">
        {visibleText(text)}
        {isCut && "…"}
      </a>
      <p class="row-facts">
        {isNew && <span class="new">new</span>}
        <When timestampMs={timestampMs} nowMs={nowMs} />
        {row.topic !== undefined && row.topic !== topic && (
          <a class="topic" href={linkTo({ topic: row.topic })}>
            <bdi>{visible(row.topic)}</bdi>
          </a>
        )}
        {author !== undefined && (
          <span class="good" title={`Ed25519 key ${author}`}>
            ✓ signed <span class="mono">{author.slice(0, 8)}</span>
          </span>
        )}
      </p>
    </li>
  );
}

function Older({ board }: { readonly board: Board }) {
  const [fault, setFault] = useState("");
  const [isReading, setReading] = useState(false);
  const read = async () => {
    setReading(true);
    setFault("");
    try {
      await board.readOlder();
    } catch (error) {
      setFault((error as Error).message);
    }
    setReading(false);
  };
  return (
    <>
      <button type="button" onClick={read} disabled={isReading}>
        Show older items
      </button>
      {fault && <p role="alert">{fault}</p>}
    </>
  );
}

function Empty({ topic, role }: { readonly topic: string | undefined; readonly role: Board["role"] }) {
  return (
    <div class="empty">
      <p>{topic === undefined ? "Nothing was posted yet." : `Nothing under ${visible(topic)}.`}</p>
      <p class="quiet">
        {role === "post" ? "Write something above, or " : "Items appear here as they come: "}
        <code>hubcast broadcast post{topic === undefined ? "" : " --topic …"} "hello"</code> on any node.
      </p>
    </div>
  );
}

/** A reader who has scrolled down is told of new items on top; the list does not move. */
function NewAbove({ board }: { readonly board: Board }) {
  const { arrived } = board.feed;
  const [seen, setSeen] = useState(arrived);
  const [isAway, setAway] = useState(false);
  useEffect(() => {
    const look = () => setAway(scrollY > innerHeight / 2);
    addEventListener("scroll", look, { passive: true });
    return () => removeEventListener("scroll", look);
  }, []);
  useEffect(() => {
    if (!isAway) setSeen(arrived);
  }, [isAway, arrived]);
  const count = arrived - seen;
  if (!isAway || count <= 0) return null;
  return (
    <button type="button" class="new-above" onClick={() => scrollTo({ top: 0 })}>
      ↑ {count} new
    </button>
  );
}

/** Says the newest item to a screen reader, and not each of a hundred. */
function Spoken({ newest }: { readonly newest: Row | undefined }) {
  const [spoken, setSpoken] = useState("");
  const spokenAtMs = useRef(0);
  useEffect(() => {
    if (newest === undefined) return;
    const speak = () => {
      spokenAtMs.current = Date.now();
      setSpoken(visibleText(newest.text).split("\n", 1)[0]!.slice(0, 200));
    };
    const timer = setTimeout(speak, spokenAtMs.current + SPOKEN_EVERY_MS - Date.now());
    return () => clearTimeout(timer);
  }, [newest]);
  return (
    <p class="spoken" aria-live="polite">
      {spoken}
    </p>
  );
}

interface TopicsProps {
  readonly topics: readonly string[];
  readonly chosen: string | undefined;
}

/** Topics of the items that were seen, as filters: the first segments, and what is beside and below the chosen one. */
export function Topics({ topics, chosen }: TopicsProps) {
  const shown = namesBeside(topics, chosen);
  if (shown.length === 0) return null;
  return (
    <nav class="topics" aria-label="Topics">
      <a href={linkTo({})} aria-current={chosen === undefined ? "true" : undefined}>
        all
      </a>
      {shown.map((topic) => (
        <a key={topic} href={linkTo({ topic })} aria-current={topic === chosen ? "true" : undefined}>
          <bdi>{visible(topic)}</bdi>
        </a>
      ))}
    </nav>
  );
}

function namesBeside(topics: readonly string[], chosen: string | undefined): readonly string[] {
  const names = new Set<string>();
  for (const topic of chosen === undefined ? topics : [...topics, chosen]) {
    for (let end = topic.indexOf("/"); ; end = topic.indexOf("/", end + 1)) {
      const name = end < 0 ? topic : topic.slice(0, end);
      const above = name.slice(0, Math.max(0, name.lastIndexOf("/")));
      if (above === "" || (chosen !== undefined && isWithin(chosen, above))) names.add(name);
      if (end < 0) break;
    }
  }
  return [...names].sort();
}

/** The fragment of the address holds the topic and the open item: both survive a reload, and a link can carry them. */
interface Place {
  readonly topic: string | undefined;
  readonly item: string | undefined;
}

export function usePlace(): Place {
  const [place, setPlace] = useState(readPlace);
  useEffect(() => {
    const read = () => setPlace(readPlace());
    addEventListener("hashchange", read);
    return () => removeEventListener("hashchange", read);
  }, []);
  return place;
}

export function linkTo(place: Partial<Place>): string {
  const named = Object.entries(place).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return `#${new URLSearchParams(named)}`;
}

function readPlace(): Place {
  const named = new URLSearchParams(location.hash.slice(1));
  const topic = named.get("topic") ?? "";
  return { topic: topicOf(`${topic}/x`) === topic ? topic : undefined, item: named.get("item") ?? undefined };
}
