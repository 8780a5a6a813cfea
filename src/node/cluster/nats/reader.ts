import type { JetStreamManager } from "@nats-io/jetstream";
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import { subscribe } from "../../../runtime/nats.js";
import type { StreamState } from "./stream.js";

/** One message of the stream. */
export interface LogMessage {
  readonly bytes: Uint8Array;
  /** As its author marked it. */
  readonly mark: string;
  taken(): void;
  acknowledge(): void;
}

interface ReaderOptions {
  readonly connection: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly stream: string;
  deliver(message: LogMessage): void;
  /** Messages were lost on their way, or the server fell silent: `read` is to be called again. */
  broken(): void;
}

/** The server sends a sign of life when there is nothing else. */
const HEARTBEAT_MS = 1_000;
const SILENCE_MS_MAX = 3_500;
/** Messages that were handed over and are not acknowledged; past it the server is kept waiting. */
const OPEN_MAX = 256;

/**
 * Reads the stream in its order, each message once, by a push consumer without acknowledgements: the server sends,
 * numbers what it sends, and waits when it is told to (flow control). A number that is left out means that something
 * was lost on its way: a new consumer begins there.
 */
export class Reader {
  readonly #options: ReaderOptions;
  #progress: StreamPosition | undefined;
  #subscription: Subscription | undefined;
  #consumer: { readonly name: string } | undefined;
  /** Of the last message received. */
  #sequence = 0;
  #delivery = 0;
  #heardAtMs = 0;
  /** The server waits for an answer here before it sends on. */
  #waiting: Msg | undefined;
  #target = 0;
  #caughtUp = false;
  readonly #watch: NodeJS.Timeout;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#watch = setInterval(() => this.#checkPulse(), HEARTBEAT_MS / 2);
  }

  get position(): string | undefined {
    return this.#progress && this.#progress.sequence > 0 ? this.#progress.position : undefined;
  }

  get caughtUp(): boolean {
    return this.#caughtUp;
  }

  /** Something that the stream had when reading began is still to come. */
  get isBehind(): boolean {
    return (this.#progress?.sequence ?? 0) < this.#target;
  }

  /** Begins where the last reading ended. @param position where to begin when there was none */
  async read(state: StreamState, position: string | undefined): Promise<void> {
    this.stop();
    const { connection, jsm, stream } = this.#options;
    this.#begin(state, position);
    this.#target = state.messages === 0 ? 0 : state.lastSequence;
    this.#delivery = 0;
    this.#heardAtMs = performance.now();
    const { createInbox } = await import("@nats-io/transport-node");
    const inbox = createInbox();
    const subscription = subscribe(connection, inbox, (message) => {
      if (this.#subscription === subscription) this.#received(message);
    });
    this.#subscription = subscription;
    const { name } = await jsm.consumers.add(stream, {
      deliver_subject: inbox,
      deliver_policy: "by_start_sequence",
      opt_start_seq: this.#sequence + 1,
      ack_policy: "none",
      replay_policy: "instant",
      flow_control: true,
      idle_heartbeat: HEARTBEAT_MS * 1_000_000,
      inactive_threshold: 10 * HEARTBEAT_MS * 1_000_000,
      mem_storage: true,
      num_replicas: 1,
    });
    this.#consumer = { name };
    this.#look();
  }

  /** Until the next `read`. */
  stop(): void {
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
    this.#consumer = undefined;
    this.#waiting = undefined;
  }

  /** For good; the server is told. */
  async close(): Promise<void> {
    clearInterval(this.#watch);
    const { connection, jsm, stream } = this.#options;
    const consumer = this.#consumer;
    if (!connection.isClosed()) this.stop();
    if (!consumer) return;
    // The server finds out by itself, only later.
    const late = new Promise((resolve) => setTimeout(resolve, HEARTBEAT_MS).unref());
    await Promise.race([jsm.consumers.delete(stream, consumer.name).catch(() => {}), late]);
  }

  #begin({ created, lastSequence }: StreamState, position: string | undefined): void {
    if (this.#progress?.isOf(created) && this.#sequence <= lastSequence) return;
    const progress = StreamPosition.of(created, this.#progress ? undefined : position);
    // A server that lost power may have lost its last messages, and gives their numbers to others: all is read anew.
    this.#progress = progress.sequence <= lastSequence ? progress : StreamPosition.of(created, undefined);
    this.#sequence = this.#progress.sequence;
  }

  #received(message: Msg): void {
    this.#heardAtMs = performance.now();
    const { reply = "" } = message;
    // The status tells nothing: a message of the stream has the one that its author gave it.
    if (!reply.startsWith(ACK)) {
      this.#control(message);
      return;
    }
    const { stream, delivery } = numbersOf(reply);
    if (delivery !== this.#delivery + 1) {
      this.#break();
      return;
    }
    this.#delivery = delivery;
    const last = this.#sequence;
    this.#sequence = stream;
    const progress = this.#progress!;
    if (!progress.received(stream, last)) return;
    this.#options.deliver({
      bytes: message.data,
      mark: markOf(message),
      taken: () => progress.taken(stream),
      acknowledge: () => {
        progress.acknowledged(stream);
        this.#answerFlowControl();
        this.#look();
      },
    });
  }

  /** The server speaks itself: it is alive, waits for an answer, or has ended the consumer. */
  #control(message: Msg): void {
    if (message.headers?.code !== 100) {
      this.#break();
      return;
    }
    const stalled = message.headers.get("Nats-Consumer-Stalled");
    if (message.reply) this.#waiting = message;
    else if (stalled) this.#options.connection.publish(stalled);
    else if (Number(message.headers.get("Nats-Last-Consumer") || this.#delivery) !== this.#delivery) {
      this.#break();
      return;
    } else if (this.#progress!.open === 0) this.#catchUp();
    this.#answerFlowControl();
  }

  #answerFlowControl(): void {
    if (!this.#waiting || this.#progress!.open > OPEN_MAX) return;
    this.#waiting.respond();
    this.#waiting = undefined;
  }

  #look(): void {
    if (this.#progress!.open === 0 && this.#progress!.sequence >= this.#target) this.#catchUp();
  }

  #catchUp(): void {
    this.#caughtUp = true;
    // Also where the last message has expired meanwhile.
    this.#target = 0;
  }

  #checkPulse(): void {
    if (this.#subscription && performance.now() - this.#heardAtMs > SILENCE_MS_MAX) this.#break();
  }

  #break(): void {
    this.stop();
    this.#options.broken();
  }
}

/** Reply subjects of stored messages begin so, and no others. */
const ACK = "$JS.ACK.";

/** The author's mark; "" without one, and where the client cannot read the headers, which may have any bytes. */
function markOf(message: Msg): string {
  try {
    return message.headers?.get("Nats-Msg-Id") ?? "";
  } catch {
    return "";
  }
}

/**
 * Parses the reply subject of the server: `$JS.ACK.STREAM.CONSUMER.TRIES.SEQUENCE.DELIVERY.TIME.PENDING`, from
 * 2.10 on with a domain and an account behind `ACK`.
 */
function numbersOf(reply: string): { readonly stream: number; readonly delivery: number } {
  const tokens = reply.split(".");
  const at = tokens.length >= 11 ? 7 : 5;
  return { stream: Number(tokens[at]), delivery: Number(tokens[at + 1]) };
}

/**
 * How far a log was read. Messages are taken in any order (a signature that takes long to check holds up one of
 * them), but a position says: all up to here.
 */
export class StreamPosition {
  /** When the stream was made: another stream of the same name begins at 1 again. */
  readonly #created: string;
  #taken: number;
  /** Taken, with one before them that is not. */
  readonly #ahead = new Set<number>();
  /** Not taken, or not acknowledged. */
  readonly #open = new Set<number>();

  private constructor(created: string, sequence: number) {
    this.#created = created;
    this.#taken = sequence;
  }

  /** @param position where an earlier run was; from the start of the stream when that was another stream, or none */
  static of(created: string, position: string | undefined): StreamPosition {
    const [stream, sequence] = position?.split("/") ?? [];
    const isKnown = stream === created && /^\d{1,15}$/.test(sequence ?? "");
    return new StreamPosition(created, isKnown ? Number(sequence) : 0);
  }

  /** Of the last message up to which all were taken; 0 before the first. */
  get sequence(): number {
    return this.#taken;
  }

  get position(): string {
    return `${this.#created}/${this.#taken}`;
  }

  isOf(created: string): boolean {
    return this.#created === created;
  }

  /** Messages that were received and are not acknowledged yet. */
  get open(): number {
    return this.#open.size;
  }

  /** @param last the one received before it; what lies between has expired. @returns false when it was received before */
  received(sequence: number, last: number): boolean {
    if (sequence <= this.#taken || this.#ahead.has(sequence) || this.#open.has(sequence)) return false;
    // Behind a long absence that may be a billion of them.
    if (last <= this.#taken) this.#taken = sequence - 1;
    else for (let gone = last + 1; gone < sequence; gone++) this.#ahead.add(gone);
    this.#open.add(sequence);
    return true;
  }

  taken(sequence: number): void {
    if (sequence <= this.#taken) return;
    if (sequence !== this.#taken + 1) {
      this.#ahead.add(sequence);
      return;
    }
    this.#taken = sequence;
    while (this.#ahead.delete(this.#taken + 1)) this.#taken++;
  }

  acknowledged(sequence: number): void {
    this.taken(sequence);
    this.#open.delete(sequence);
  }
}
