import { render } from "ink";
import { asHubcastError } from "../../core/errors.js";
import { shown } from "../../core/text.js";
import type { Collector } from "../collect/collector.js";
import { frameOf } from "../frame/frame.js";
import { Painter } from "../frame/painter.js";
import { type Key, type Order, press } from "../keys.js";
import { rowKeys } from "../rows.js";
import { firstScreen, type Screen } from "../screen.js";
import type { Snapshot } from "../snapshot.js";
import { Keyboard } from "./keyboard.js";

/** Figures change four times a second. */
const REFRESH_MS = 250;
/** All lines of a list change. */
const LIST_REFRESH_MS = 500;
const AFTER_RESIZE_MS = 50;
/** Of a terminal that does not say its own. */
const USUAL_SIZE = { columns: 80, rows: 24 };

export interface DashboardOptions {
  readonly collector: Collector;
  readonly colour: boolean;
}

/**
 * Shows the dashboard on the terminal until the user ends it. The terminal is given back also when the process is
 * ended by a signal or an error.
 * @returns how the user ended it
 */
export async function runDashboard(options: DashboardOptions): Promise<"quit" | "interrupt"> {
  const session = new Session(options);
  try {
    return await session.ended;
  } finally {
    session.close();
  }
}

class Session {
  #screen: Screen = firstScreen();
  #snapshot: Snapshot;
  #drawnAtMs = 0;
  #redraw: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  readonly #app;
  readonly #painter: Painter;
  readonly #timer: NodeJS.Timeout;
  readonly ended: Promise<"quit" | "interrupt">;
  #end: (how: "quit" | "interrupt") => void = () => {};

  constructor(private readonly options: DashboardOptions) {
    this.#snapshot = options.collector.snapshot(false);
    this.#painter = new Painter(options.colour);
    // Ink has the terminal: its other screen, its keys, and gives it back whatever happens. It draws nothing itself, since
    // it splits and measures every character of every frame, which took more than all the rest (decision 9).
    this.#app = render(<Keyboard onKey={this.#onKey} />, {
      alternateScreen: true,
      interactive: true,
      exitOnCtrlC: false,
      patchConsole: false,
    });
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve;
      // Ends by itself only when a component has thrown.
      this.#app.waitUntilExit().then(() => resolve("quit"), reject);
    });
    process.stdout.on("resize", this.#onResize);
    this.#draw();
    this.#timer = setInterval(() => this.#refresh(), REFRESH_MS);
    void options.collector.ask().then(() => this.#refresh());
  }

  close(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#redraw);
    clearTimeout(this.#soon);
    process.stdout.off("resize", this.#onResize);
    this.#app.unmount();
  }

  /** The terminal has moved, cut or wrapped what it showed, and may do so again while a window is being drawn larger. */
  readonly #onResize = (): void => {
    clearTimeout(this.#redraw);
    this.#redraw = setTimeout(() => this.#drawAnew(), AFTER_RESIZE_MS);
  };

  #refresh(): void {
    const isCalm = isList(this.#screen);
    if (isCalm && performance.now() - this.#drawnAtMs < LIST_REFRESH_MS - REFRESH_MS / 2) return;
    void this.options.collector.ask(isCalm);
    const next = this.options.collector.snapshot(this.#screen.view === "items");
    if (!this.#screen.paused) this.#snapshot = next;
    this.#draw();
  }

  /** A view that asks for something of its own need not wait for the next refresh, and the one after that. */
  #soonRefreshed(): void {
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => {
      if (this.#screen.view === "items") this.options.collector.snapshot(true);
      this.#drawnAtMs = 0;
    });
  }

  #draw(): void {
    this.#drawnAtMs = performance.now();
    const { columns, rows } = process.stdout;
    const size = { columns: columns || USUAL_SIZE.columns, rows: rows || USUAL_SIZE.rows };
    const text = this.#painter.paint(frameOf(this.#snapshot, this.#screen, size));
    if (text !== "") process.stdout.write(text);
  }

  #drawAnew(): void {
    this.#painter.forget();
    this.#draw();
  }

  readonly #onKey = (key: Key): void => {
    const { screen, order } = press(this.#screen, key, rowKeys(this.#snapshot, this.#screen));
    if (screen.view !== this.#screen.view) this.#soonRefreshed();
    this.#screen = screen;
    if (order) this.#carryOut(order);
    this.#draw();
  };

  #carryOut(order: Order): void {
    if (order.type === "redraw") {
      this.#painter.forget();
      return;
    }
    if (order.type !== "post") {
      this.#end(order.type);
      return;
    }
    this.options.collector.post(order.raw).then(
      ({ name, id }) => this.#say("good", `posted ${id} to ${name}`),
      (error: unknown) => this.#say("bad", shown(asHubcastError(error).message, 500)),
    );
  }

  #say(tone: "good" | "bad", text: string): void {
    this.#screen = { ...this.#screen, notice: { tone, text } };
    this.#draw();
  }
}

/** Lists move too fast to be read at the pace of figures. */
function isList({ view }: Screen): boolean {
  return view === "items" || view === "events";
}
