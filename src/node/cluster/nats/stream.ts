import type { JetStreamManager, StreamConfig, StreamInfo } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { HubcastError } from "../../../core/errors.js";
import { LIMITS } from "../../../core/limits.js";
import { noJetStream } from "../../../runtime/nats.js";
import type { PublishKind } from "../../replica/messages.js";

export interface StreamSettings {
  /** Items are kept for so long, ms, as on the nodes. */
  readonly retentionMs: number;
  /** Servers that keep a copy; absent: as many as the stream has, or one. */
  readonly replicas?: number;
}

export interface StreamState {
  /** When it was made: tells it from another one of the same name. */
  readonly created: string;
  readonly lastSequence: number;
  readonly messages: number;
  /** Servers that keep a copy. */
  readonly replicas: number;
  /** This call made it. */
  readonly isNew: boolean;
}

const NOT_FOUND = 10_059;
/** The name is in use; the subjects are. */
const TAKEN = new Set([10_058, 10_065]);
const NS_PER_MS = 1_000_000;
/** A message that is sent again because its acknowledgement got lost is stored once, within this time. */
const DUPLICATES_MS = 10_000;

/**
 * Finds the cluster's stream, or makes it.
 * @param goneMs how long one that is not there must be gone before it is made: a server that is still taking it apart
 *   (2.9 under load) stores what is published for the new one in the old one, and acknowledges it
 * @throws natsStreamDiffers, natsUnusable; what the client throws
 */
export async function ensureStream(
  jsm: JetStreamManager,
  names: Names,
  settings: StreamSettings,
  goneMs = 0,
): Promise<StreamState> {
  let existing = await find(jsm, names.stream);
  if (!existing && goneMs > 0) {
    await new Promise((resolve) => setTimeout(resolve, goneMs));
    existing = await find(jsm, names.stream);
  }
  if (existing) return checked(existing, names, settings);
  try {
    // `did_create` is in the answer of the server, though not in the types of the client.
    const made: StreamInfo & { did_create?: boolean } = await jsm.streams.add(configOf(names, settings));
    return stateOf(made, made.did_create !== false);
  } catch (error) {
    // Another node may have made it meanwhile; of two that do at once, one hears that its subjects are taken.
    const other = TAKEN.has(apiCode(error) ?? 0) && (await find(jsm, names.stream));
    if (other) return checked(other, names, settings);
    throw error;
  }
}

async function find(jsm: JetStreamManager, stream: string): Promise<StreamInfo | undefined> {
  try {
    return await jsm.streams.info(stream);
  } catch (error) {
    if (apiCode(error) === NOT_FOUND) return undefined;
    throw error;
  }
}

function configOf(names: Names, { retentionMs, replicas = 1 }: StreamSettings) {
  return {
    name: names.stream,
    description: "Items of a hubcast cluster, in batches",
    subjects: [names.items],
    storage: "file",
    retention: "limits",
    // A full stream refuses what is new, rather than forget what was acknowledged.
    discard: "new",
    max_age: retentionMs * NS_PER_MS,
    duplicate_window: Math.min(retentionMs, DUPLICATES_MS) * NS_PER_MS,
    num_replicas: replicas,
  } as const satisfies Partial<StreamConfig>;
}

/** Settings that are the operator's choice (room, placement) are not checked. @throws natsStreamDiffers */
function checked(info: StreamInfo, names: Names, settings: StreamSettings): StreamState {
  const { config } = info;
  const wanted = configOf(names, settings);
  const differences = [
    differs("subjects", config.subjects.join(" "), names.items),
    differs("storage", config.storage, wanted.storage),
    differs("retention", config.retention, wanted.retention),
    differs("discard", config.discard, wanted.discard),
    differs("max_age", `${config.max_age / NS_PER_MS} ms`, `${settings.retentionMs} ms`),
    settings.replicas !== undefined && differs("num_replicas", config.num_replicas, settings.replicas),
    config.max_msg_size !== -1 &&
      config.max_msg_size < LIMITS.gossipBytesMax &&
      differs("max_msg_size", config.max_msg_size, `${LIMITS.gossipBytesMax} or none`),
    config.max_msgs_per_subject > 0 && differs("max_msgs_per_subject", config.max_msgs_per_subject, "none"),
  ].filter((difference) => typeof difference === "string");
  if (differences.length === 0) return stateOf(info, false);
  throw new HubcastError(
    "natsStreamDiffers",
    `the stream ${names.stream} exists with other settings: ${differences.join("; ")}`,
    {
      suggestions: [
        "Start this node with the same --retention and --nats-replicas as the others, or choose another --cluster.",
        `Or remove the stream, with all that is in it: nats stream rm ${names.stream}.`,
      ],
    },
  );
}

function differs(setting: string, is: unknown, wanted: unknown): string | false {
  return is !== wanted && `${setting} is ${is}, this node asks for ${wanted}`;
}

function stateOf({ created, state, config }: StreamInfo, isNew: boolean): StreamState {
  const { last_seq: lastSequence, messages } = state;
  return { created: String(created), lastSequence, messages, replicas: config.num_replicas, isNew };
}

/** Servers that were started together elect their leader in that time. */
const ELECTION_MS_MAX = 10_000;
const PAUSE_MS = 200;

/** @throws natsAway, natsNoJetStream, natsUnusable */
export async function openJetStream(connection: NatsConnection): Promise<JetStreamManager> {
  const { jetstreamManager } = await import("@nats-io/jetstream");
  return await untilElected(connection, () => jetstreamManager(connection));
}

/**
 * Asks until somebody is there to answer.
 * @throws natsAway when nobody does in time; natsNoJetStream, natsUnusable, or what `ask` throws of our own
 */
export async function untilElected<Answer>(
  connection: NatsConnection,
  ask: () => Promise<Answer>,
): Promise<Answer> {
  const endMs = performance.now() + ELECTION_MS_MAX;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (error instanceof HubcastError) throw error;
      const server = connection.getServer();
      // A server without it says so when one connects; one of many may have it for the others, and then answers.
      if (isWithoutJetStream(error) || connection.info?.jetstream !== true) throw noJetStream(server, error);
      if (!isPassing(error)) throw unusable(server, error as Error);
      if (performance.now() > endMs)
        throw new HubcastError("natsAway", `JetStream at ${server} does not answer`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

/** Codes of the server (`err_code`), as its source lists them. */
const FULL = new Set([
  10_023, // insufficient resources
  10_047, // insufficient storage resources available
  10_077, // maximum messages or bytes of the stream exceeded
  10_122, // maximum bytes for the account
]);
const NO_JETSTREAM = new Set([10_039, 10_076]);
/** A cluster of servers that is electing, or has too few servers up. */
const FOR_NOW = new Set([10_008, 10_009, 10_118]);

/** The code that the server gave; `undefined` for what is no answer of it. */
export function apiCode(error: unknown): number | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "number" && code >= 10_000 ? code : undefined;
}

export function isFull(error: unknown): boolean {
  return FULL.has(apiCode(error) ?? 0);
}

function isWithoutJetStream(error: unknown): boolean {
  return NO_JETSTREAM.has(apiCode(error) ?? 0);
}

/** Whether asking again may help: nobody answered, or somebody who has to wait himself. */
export function isPassing(error: unknown): boolean {
  if (error instanceof HubcastError) return false;
  const code = apiCode(error);
  return code === undefined ? !isPermission(error) : FOR_NOW.has(code);
}

/** The error for an answer with which a node cannot start. */
function unusable(server: string, error: Error): HubcastError {
  return new HubcastError("natsUnusable", `the NATS server at ${server} refuses: ${error.message}`, {
    cause: error,
    suggestions: [
      "Ask for no more replicas than there are servers: --nats-replicas.",
      "Look at the room that JetStream has, and at the permissions of this user: docs/protocol-nats.md.",
    ],
  });
}

function isPermission(error: unknown): boolean {
  const { name, cause } = error as Error;
  return (
    name === "PermissionViolationError" || (cause as Error | undefined)?.name === "PermissionViolationError"
  );
}

/** Token of the version of what is said over NATS (docs/protocol-nats.md). */
const VERSION = "1";

/**
 * The names of a cluster's stream, bucket and subjects. A cluster's name (a-z, 0-9, -) is a valid token of all of them as it
 * is, so that two clusters never share one. Nothing else that people choose is part of a name.
 */
export class Names {
  /** The stream of items. */
  readonly stream: string;
  /** The key-value bucket of members. */
  readonly bucket: string;
  /** Subjects that the stream keeps: one for each author. */
  readonly items: string;
  readonly #prefix: string;

  constructor(cluster: string) {
    this.stream = `hubcast-nodes-${cluster}`;
    this.bucket = this.stream;
    this.#prefix = `hubcast.nodes.${VERSION}.${cluster}`;
    this.items = `${this.#prefix}.items.*`;
  }

  itemsOf(id: string): string {
    return `${this.#prefix}.items.${id}`;
  }

  /** Subject of one member's messages to all; `*`: of everybody's. */
  published(kind: PublishKind, id: string): string {
    return `${this.#prefix}.${kind}.${id}`;
  }

  /** Subject of messages from one member to another; `*` as the sender: from everybody. */
  to(id: string, from: string): string {
    return `${this.#prefix}.to.${id}.${from}`;
  }
}

/** The last token of a subject: its author. */
export function lastToken(subject: string): string {
  return subject.slice(subject.lastIndexOf(".") + 1);
}

/** Whether a text from elsewhere is an id, and so a token by itself. */
export function isId(text: string): boolean {
  return /^[1-9A-HJ-NP-Za-km-z]{1,64}$/.test(text);
}
