import { Box, type RenderOptions, render, useApp, useInput, usePaste, useWindowSize } from "ink";
import { memo, useCallback, useEffect, useRef, useState } from "react";
import { asHubcastError } from "../core/errors.js";
import { columnsOf, counted } from "../core/text.js";
import type { Collector } from "./collect.js";
import { clock, count } from "./figures.js";
import { HubsView } from "./hubs.js";
import { EventsView, ItemsView, NodesView } from "./nodes.js";
import {
  type Action,
  firstScreen,
  KEY_HELP,
  KEY_HINTS,
  pasted,
  postTarget,
  press,
  rowKeys,
  type Screen,
  SORTS,
  VIEWS,
} from "./screen.js";
import { isPresent, type Snapshot, verdictsOf } from "./snapshot.js";
import { useSuspension } from "./suspension.js";
import { Detail, HasColour, Line, type Size, Span } from "./table.js";

/** Figures change four times a second. */
const REFRESH_MS = 250;
/** All lines of a list change, and move too fast to be read at the pace of figures. */
const LIST_REFRESH_MS = 500;
const ASIDE_REFRESH_MS = 1_000;
/** How long a view waits for its own figures. */
const FIRST_REFRESH_MS = 100;
/** Lines of every view: title, views, the input or notice, keys. */
const FRAME_LINES = 4;
/** A title of fewer columns has no room for more than the figures. */
const CLOCK_COLUMNS = 72;
/** A character that the terminal takes for wider than Ink does must not push the line into the next one. */
const NO_WRAP = { taken: "\x1b[?7l", given: "\x1b[?7h" };

export interface DashboardOptions {
  readonly collector: Pick<Collector, "ask" | "snapshot" | "post">;
  readonly colour: boolean;
}

/**
 * Shows the dashboard on the terminal until the user ends it. The terminal is restored also when a signal or an
 * error ends the process.
 * @returns how the user ended it
 */
export async function runDashboard({ collector, colour }: DashboardOptions): Promise<"quit" | "interrupt"> {
  const app = (
    <HasColour value={colour}>
      <App collector={collector} />
    </HasColour>
  );
  const screen = render(app, RENDER_OPTIONS);
  // Errors are printed on the screen below the dashboard.
  const giveBack = () => screen.unmount();
  process.prependListener("uncaughtException", giveBack);
  try {
    return (await screen.waitUntilExit()) as "quit" | "interrupt";
  } finally {
    process.off("uncaughtException", giveBack);
  }
}

const RENDER_OPTIONS: RenderOptions = {
  alternateScreen: true,
  incrementalRendering: true,
  interactive: true,
  exitOnCtrlC: false,
  patchConsole: false,
};

/** The dashboard: its state, its keys, its views. */
export function App({ collector }: Pick<DashboardOptions, "collector">) {
  const size = useWindowSize();
  const { exit } = useApp();
  const { screen, change } = useScreen();
  const snapshot = useSnapshot(collector, screen);
  const { suspend, redraw } = useSuspension(NO_WRAP);

  const say = (tone: "good" | "bad", text: string) => change((now) => ({ ...now, notice: { tone, text } }));
  const carryOut = (action: Action) => {
    if (action.type === "quit") return exit("quit");
    collector.post(action.raw, action.to).then(
      (id) => say("good", `posted ${id} to ${action.to.name}`),
      (error: unknown) => say("bad", asHubcastError(error).message),
    );
  };
  useInput((input, key) => {
    if (key.ctrl && input === "c") return exit("interrupt");
    if (key.ctrl && input === "z") return suspend();
    if (key.ctrl && input === "l") return redraw();
    const contextOf = (now: Screen) => ({ rows: rowKeys(snapshot, now), target: postTarget(snapshot, now) });
    change((now) => {
      const { screen: next, action } = press(now, input, key, contextOf);
      if (action) carryOut(action);
      return next;
    });
  });
  usePaste((text) => change((now) => pasted(now, text)));
  return <Dashboard snapshot={snapshot} screen={screen} size={size} />;
}

/** The user's choices. Of several keys that arrive at once, each sees the changes of the previous one. */
function useScreen() {
  const latest = useRef(firstScreen());
  const [screen, setScreen] = useState(latest.current);
  const change = useCallback((next: (now: Screen) => Screen) => {
    latest.current = next(latest.current);
    setScreen(latest.current);
  }, []);
  return { screen, change };
}

/** Snapshots of the collector, one for each refresh. */
function useSnapshot(collector: DashboardOptions["collector"], { view, paused, topic }: Screen): Snapshot {
  const [snapshot, setSnapshot] = useState(() => collector.snapshot(false));
  const isList = view === "items" || view === "events";
  useEffect(() => {
    let itemsAtMs = 0;
    const look = () => {
      void collector.ask(isList);
      const next = collector.snapshot(view === "cluster" ? "aside" : view === "items", topic);
      if (paused) return;
      // A list that moves all the time costs more than the figures beside it, and cannot be read.
      const itemsAreFresh = isList || next.atMs - itemsAtMs >= ASIDE_REFRESH_MS;
      if (itemsAreFresh) itemsAtMs = next.atMs;
      setSnapshot((before) => (itemsAreFresh ? next : { ...next, items: before.items }));
    };
    look();
    const first = setTimeout(look, FIRST_REFRESH_MS);
    const timer = setInterval(look, isList ? LIST_REFRESH_MS : REFRESH_MS);
    return () => {
      clearTimeout(first);
      clearInterval(timer);
    };
  }, [collector, isList, view, paused, topic]);
  return snapshot;
}

export interface DashboardProps {
  readonly snapshot: Snapshot;
  readonly screen: Screen;
  readonly size: Size;
}

const VIEW = { cluster: NodesView, items: ItemsView, hubs: HubsView, events: EventsView } as const;

/** The whole screen: as many lines as it has, so that Ink draws each in its place. */
export function Dashboard({ snapshot, screen, size }: DashboardProps) {
  const View = VIEW[screen.view];
  const room = { columns: size.columns, rows: Math.max(1, size.rows - FRAME_LINES) };
  return (
    <Box flexDirection="column" width={size.columns} height={size.rows}>
      <Title snapshot={snapshot} isPaused={screen.paused} columns={size.columns} />
      <Tabs {...screen} />
      <Box height={room.rows} flexShrink={0} flexDirection="column">
        {screen.help ? (
          <Detail lines={HELP_LINES} size={room} isActive />
        ) : (
          <View snapshot={snapshot} screen={screen} size={room} />
        )}
      </Box>
      <Said {...screen} />
      <Hints typing={screen.typing?.into} help={screen.help} columns={size.columns} />
    </Box>
  );
}

interface TitleProps {
  readonly snapshot: Snapshot;
  readonly isPaused: boolean;
  readonly columns: number;
}

function Title({ snapshot: { atMs, nodes, hubs }, isPaused, columns }: TitleProps) {
  const present = nodes.filter(isPresent);
  const items = Math.max(0, ...present.map((row) => row.items ?? 0));
  return (
    <Box height={1}>
      <Line>
        {columns >= CLOCK_COLUMNS && (
          <>
            <Span tone="title">hubcast top</Span>
            <Span tone="dim">{`  ${clock(atMs)}  `}</Span>
          </>
        )}
        <Span>{`${counted(present.length, "node")}  `}</Span>
        <Span>{`${count(items)} ${items === 1 ? "item" : "items"}  `}</Span>
        {verdictsOf(nodes).map(({ tone, text }) => (
          <Span key={text} tone={tone}>{`${text}  `}</Span>
        ))}
        <Span>{counted(hubs.length, "hub")}</Span>
        {isPaused && <Span tone="warn">{"  PAUSED"}</Span>}
      </Line>
    </Box>
  );
}

const Tabs = memo(function Tabs({ view, sorts, filter, topic, typing }: Screen) {
  const { column, reversed } = sorts[view];
  return (
    <Box height={1}>
      <Line>
        {VIEWS.map((name, index) => (
          <Span key={name} tone={name === view ? "marked" : "dim"}>
            {name === view ? `[${index + 1} ${name}]` : ` ${index + 1} ${name} `}
          </Span>
        ))}
        <Span tone="dim">{`  by ${SORTS[view][column]!.title}${reversed ? ", reversed" : ""}`}</Span>
        {topic !== undefined && typing?.into !== "topic" && <Span tone="warn">{`  topic: ${topic}`}</Span>}
        {filter !== "" && typing?.into !== "filter" && <Span tone="warn">{`  filter: ${filter}`}</Span>}
      </Line>
    </Box>
  );
});

const HELP_LINES = KEY_HELP.map(([keys, meaning]) => ({ name: keys, text: meaning }));

const Said = memo(function Said({ typing, notice }: Screen) {
  const prompt = typing?.into === "post" ? `post to ${typing.to.name}> ` : `${typing?.into}> `;
  return (
    <Box height={1}>
      {typing && (
        <>
          <Box flexShrink={0}>
            <Span tone="accent">{prompt}</Span>
          </Box>
          <Span cut="start">{typing.text}</Span>
          <Box flexShrink={0}>
            <Span tone="accent">▏</Span>
          </Box>
        </>
      )}
      {!typing && notice && <Span tone={notice.tone}>{notice.text}</Span>}
    </Box>
  );
});

interface HintsProps {
  readonly typing: "filter" | "topic" | "post" | undefined;
  readonly help: boolean;
  readonly columns: number;
}

const Hints = memo(function Hints({ typing, help, columns }: HintsProps) {
  if (typing) return <Span tone="dim">{`Enter ${typing === "post" ? "posts" : "keeps"}  Esc gives up`}</Span>;
  if (help) return <Span tone="dim">any other key closes the help</Span>;
  const fitting = (text: string, hint: string) =>
    columnsOf(text) + columnsOf(hint) + 2 <= columns ? `${text}  ${hint}` : text;
  return <Span tone="dim">{KEY_HINTS.reduce(fitting)}</Span>;
});
