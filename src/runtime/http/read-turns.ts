import type { Socket } from "node:net";
import { free, isWhole, park } from "../../core/buffers.js";

/** Bytes given to the parser in one go. As chunks of one byte, or as requests without a body, they take it 1 to 3 ms. */
const SLICE_BYTES = 4_096;
/** Work that a connection may cause at once, after it was quiet... */
const BURST_MS = 1;
/** ... and in a second, in the long run, before it waits for its turns. */
const WORK_MS_PER_SECOND = 50;
/** The most that one slice is charged; a longer time was garbage collection, or another process. */
const SLICE_MS_MAX = 3;
/** The largest debt: a connection that was busy must not wait for minutes. */
const OVERDRAFT_MS = 100;
/**
 * A connection that waits longer for its turn is cut: the server is overloaded, and this connection has had more than the
 * others.
 */
const WAIT_MS_MAX = 5_000;

/**
 * Requests of one connection that wait for their answer: then it is not read, and further ones in the rest of a slice are not
 * begun. Pipelined ones of 50 bytes would take the memory of thousands of requests, and of their answers, which wait for each
 * other.
 */
const UNANSWERED_MAX = 8;

/** Bytes read from waiting connections. Past this limit the one that waits longest is cut. */
const WAITING_BYTES_MAX = 67_108_864;

/**
 * Bytes behind a refusal are read by one connection at a time, so much in each turn and not more often: 260 MB a
 * second in all, a quarter of what reading as it comes would take of a core.
 */
const DISCARDED_BYTES = 262_144;
const DISCARD_MS = 1;

/**
 * Connections that are read for the first time in one turn: a request on each of 200 that come at once takes 80 ms, for which one
 * that was there before would wait.
 */
const NEW_PER_TURN = 8;

/** Consecutive turns that accept connections before waiting work continues. */
const TURNS_YIELDED_MAX = 32;

interface Reading {
  readonly socket: Socket;
  /** Parses bytes and calls the handlers of the requests that they complete. */
  readonly parse: (bytes: Buffer) => void;
  /** Work that this connection may still cause, and when that was computed. */
  leftMs: number;
  atMs: number;
  waitingSinceMs: number;
  /** Nothing was read of it yet. */
  isNew: boolean;
  /** At most one slice waits, such as a post: it goes before connections of which more waits. */
  isShort: boolean;
  waitingBytes: number;
  discardedBytes: number;
  /** Requests without an answer yet... */
  unanswered: number;
  /** ... of which these have not begun. */
  readonly later: (() => void)[];
  /** `turn`: of those that wait, it is the one that goes on now. */
  state: "reading" | "waiting" | "turn" | "discarding";
}

/**
 * Counts connections as they come. One turn of the event loop accepts a single one, whatever its work takes: behind a
 * thousand that come at once, a new one would wait for a thousand turns. So work that can wait asks first.
 */
export class Arrivals {
  count = 0;

  /** @returns whether work should wait for the next turn, to be asked once in each */
  watch(): () => boolean {
    let seen = this.count;
    let yielded = 0;
    return () => {
      const yields = this.count !== seen && yielded < TURNS_YIELDED_MAX;
      yielded = yields ? yielded + 1 : 0;
      seen = this.count;
      return yields;
    };
  }
}

/**
 * Shares the event loop among the connections of an HTTP server by the time that their bytes take. How long that is,
 * bytes do not tell: 64 KiB are one read and may be one chunk, or 10,000 chunks, each of which is a call into
 * JavaScript and a Buffer of its own (1.2 us, so 13 ms), or 1,800 requests. A parser cannot be stopped inside a read.
 * So each read is cut into slices, and the time of a slice is charged to its connection. One that used up its share
 * waits: it is not read, so TCP slows down its client, and gets a slice when its turn comes. Others go first.
 *
 * Costs 1 us for each read (bench/http-post.ts); bench/abuse.ts shows what it is for.
 */
export class ReadTurns {
  readonly #readings = new WeakMap<Socket, Reading>();
  /** The connections that wait, longest first. */
  readonly #waiting = new Set<Reading>();
  #waitingBytes = 0;
  /** Connections that were read for the first time in this turn. */
  #newInTurn = 0;
  /** Of those that wait, how many are new. */
  #newWaiting = 0;
  /** Connections that have used up their allowance of discarded bytes for now. */
  readonly #discarding = new Set<Reading>();
  readonly arrivals = new Arrivals();
  readonly #yields = this.arrivals.watch();

  /**
   * @param refusedBodyMs how long `close` waits for the client
   * @param onCut called for each connection that is cut since its turn does not come
   */
  constructor(
    readonly refusedBodyMs: number,
    private readonly onCut: () => void,
    private readonly waitingBytesMax = WAITING_BYTES_MAX,
  ) {}

  /** Stands between a connection and the parser that `node:http` has set to listen to it. */
  add(socket: Socket): void {
    this.arrivals.count++;
    const [parse, another] = socket.listeners("data") as ((bytes: Buffer) => void)[];
    // A test sees to it that node:http sets one listener.
    if (parse === undefined || another !== undefined) return;
    const atMs = performance.now();
    const reading: Reading = {
      socket,
      parse,
      leftMs: BURST_MS,
      atMs,
      waitingSinceMs: 0,
      isNew: true,
      isShort: true,
      waitingBytes: 0,
      discardedBytes: 0,
      unanswered: 0,
      later: [],
      state: "reading",
    };
    this.#readings.set(socket, reading);
    socket.off("data", parse).on("data", (bytes) => this.#read(reading, bytes));
    socket.once("close", () => {
      this.#leave(reading);
      this.#discarding.delete(reading);
    });
  }

  /** A request has come on this connection: it is begun now, or when enough of those before it are answered... */
  asked(socket: Socket, begin: () => void): void {
    const reading = this.#readings.get(socket);
    if (reading !== undefined && ++reading.unanswered > UNANSWERED_MAX) reading.later.push(begin);
    else begin();
  }

  /** ... and the answer to one is over. */
  answered(socket: Socket): void {
    const reading = this.#readings.get(socket);
    if (reading === undefined || socket.destroyed) return;
    const unanswered = --reading.unanswered;
    reading.later.shift()?.();
    if (unanswered === UNANSWERED_MAX - 1 && reading.state === "reading") socket.resume();
  }

  /** Further bytes of this connection are discarded, not parsed. */
  discard(socket: Socket): void {
    const reading = this.#readings.get(socket);
    if (reading === undefined) return;
    reading.state = "discarding";
    this.#leave(reading);
    socket.resume();
  }

  /**
   * Ends the written side, and waits for the client to close, for a bounded time: a socket closed with unread bytes sends
   * a reset, and the client would lose the answer that says why.
   */
  close(socket: Socket): void {
    socket.end();
    const timer = setTimeout(() => socket.destroy(), this.refusedBodyMs).unref();
    socket.once("close", () => clearTimeout(timer));
  }

  #read(reading: Reading, bytes: Buffer): void {
    if (reading.state === "discarding") {
      reading.discardedBytes += bytes.length;
      // 260 MB a second as garbage would be 64 MiB at a time, of which the C library keeps what lies before a block in use.
      if (isWhole(bytes)) free(bytes);
      if (reading.discardedBytes < DISCARDED_BYTES) return;
      reading.discardedBytes = 0;
      reading.socket.pause();
      if (this.#discarding.size === 0) setTimeout(this.#discardMore, DISCARD_MS);
      this.#discarding.add(reading);
      return;
    }
    if (reading.state !== "waiting" && reading.unanswered >= UNANSWERED_MAX) {
      this.#holdUp(reading, bytes);
      return;
    }
    const hasShare =
      this.#leftMs(reading, performance.now()) > 0 &&
      !(reading.isNew && this.#newWaiting + this.#newInTurn >= NEW_PER_TURN) &&
      (bytes.length <= SLICE_BYTES || this.#waiting.size === 0);
    if (reading.state === "waiting" || (reading.state === "reading" && !hasShare)) {
      this.#wait(reading, bytes);
      return;
    }
    if (reading.isNew) this.#countNew(reading);
    for (let start = 0; start < bytes.length; start += SLICE_BYTES) {
      if (start > 0 && reading.leftMs <= 0) {
        this.#wait(reading, bytes.subarray(start));
        return;
      }
      this.#parse(reading, bytes.subarray(start, start + SLICE_BYTES));
      if (this.#isDiscarding(reading) || reading.socket.destroyed) return;
      const rest = bytes.subarray(start + SLICE_BYTES);
      if (reading.unanswered >= UNANSWERED_MAX) {
        this.#holdUp(reading, rest);
        return;
      }
      if (!reading.socket.isPaused()) continue;
      // The parser does not want more for now, and resumes the socket when it does.
      this.#putBack(reading, rest);
      break;
    }
    reading.state = "reading";
  }

  #countNew(reading: Reading): void {
    reading.isNew = false;
    if (this.#newInTurn++ > 0) return;
    setImmediate(() => {
      this.#newInTurn = 0;
    });
  }

  /** Reads on when an answer is over. */
  #holdUp(reading: Reading, rest: Buffer): void {
    reading.state = "reading";
    reading.socket.pause();
    this.#putBack(reading, rest);
  }

  #isDiscarding(reading: Reading): boolean {
    return reading.state === "discarding";
  }

  #parse(reading: Reading, slice: Buffer): void {
    const beginMs = performance.now();
    reading.parse.call(reading.socket, slice);
    const spentMs = Math.min(SLICE_MS_MAX, performance.now() - beginMs);
    reading.leftMs = Math.max(-OVERDRAFT_MS, reading.leftMs - spentMs);
  }

  #leftMs(reading: Reading, nowMs: number): number {
    const gainedMs = ((nowMs - reading.atMs) * WORK_MS_PER_SECOND) / 1_000;
    reading.leftMs = Math.min(BURST_MS, reading.leftMs + gainedMs);
    reading.atMs = nowMs;
    return reading.leftMs;
  }

  /** Bytes go back into the stream, in front of all others and of its end. */
  #putBack({ socket }: Reading, rest: Buffer): void {
    if (rest.length > 0) socket.unshift(rest);
  }

  #wait(reading: Reading, rest: Buffer): void {
    // Data that still arrives, since the parser resumed the socket, does not restart the wait.
    if (reading.state !== "waiting") reading.waitingSinceMs = performance.now();
    reading.state = "waiting";
    reading.isShort = rest.length <= SLICE_BYTES;
    reading.socket.pause();
    const parked = park(rest);
    // Nothing of a whole chunk was given to the parser.
    if (parked !== rest && isWhole(rest)) free(rest);
    this.#putBack(reading, parked);
    if (this.#waiting.size === 0) setImmediate(this.#turn);
    if (reading.isNew && !this.#waiting.has(reading)) this.#newWaiting++;
    this.#waiting.add(reading);
    reading.waitingBytes += rest.length;
    this.#waitingBytes += rest.length;
    for (const oldest of this.#waiting) {
      if (this.#waitingBytes <= this.waitingBytesMax) break;
      this.#cut(oldest);
    }
  }

  #leave(reading: Reading): void {
    if (this.#waiting.delete(reading) && reading.isNew) this.#newWaiting--;
    this.#waitingBytes -= reading.waitingBytes;
    reading.waitingBytes = 0;
  }

  /**
   * New connections go on in the order in which they came. Of the others two of which little waits, and one of which more
   * does: of each kind those that caused the least work.
   */
  readonly #turn = (): void => {
    if (this.#yields()) {
      setImmediate(this.#turn);
      return;
    }
    const nowMs = performance.now();
    const begun = [...this.#waiting].filter(({ isNew }) => isNew).slice(0, NEW_PER_TURN);
    for (const reading of begun) this.#goOn(reading);
    for (const isShort of [true, true, false]) {
      let next: Reading | undefined;
      for (const reading of this.#waiting) {
        if (nowMs - reading.waitingSinceMs > WAIT_MS_MAX) this.#cut(reading);
        else if (reading.isNew || reading.isShort !== isShort) continue;
        else if (next === undefined || this.#leftMs(reading, nowMs) > next.leftMs) next = reading;
      }
      if (next !== undefined) this.#goOn(next);
    }
    if (this.#waiting.size > 0) setImmediate(this.#turn);
  };

  /** Reading goes on in a microtask, with one slice at least. */
  #goOn(reading: Reading): void {
    this.#leave(reading);
    reading.state = "turn";
    reading.socket.resume();
  }

  readonly #discardMore = (): void => {
    const [reading] = this.#discarding;
    if (reading !== undefined) {
      this.#discarding.delete(reading);
      reading.socket.resume();
    }
    if (this.#discarding.size > 0) setTimeout(this.#discardMore, DISCARD_MS);
  };

  #cut(reading: Reading): void {
    this.#leave(reading);
    reading.socket.destroy();
    this.onCut();
  }
}
