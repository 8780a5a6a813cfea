import type { JetStreamError } from "@nats-io/jetstream";
import type { KV } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import { HubcastError } from "../../../core/errors.js";
import { noJetStream } from "../../../net/nats/index.js";
import type { IdBlock } from "../port.js";

export const BUCKET = "hubcast_hub";
const KEY = "next_id";
/** Ids of one lease: as many as clients come while NATS is away. Below 2^53 there are 137 thousand million leases. */
export const BLOCK_IDS = 65_536;
/** Above it numbers are not exact. */
const ID_END = Number.MAX_SAFE_INTEGER;
/** Hubs that lease at the same time win one after the other: a hundred that start together all get theirs. */
const ATTEMPTS = 200;
/** How long servers that elect a leader are waited for, and how often they are asked. */
const ELECTION_MS = 20_000;
const ASK_AGAIN_MS = 200;

/** Leases blocks of ids to hubs: the first id that nobody has is one key, which is changed by compare-and-set only. */
export class IdLease {
  /** The end of the last block leased here: what is stored must never be below. */
  #end = 0;

  private constructor(
    private readonly kv: KV,
    private readonly server: string,
  ) {}

  /** Makes the bucket if it is not there. @throws natsNoJetStream, natsUnusable */
  static async open(connection: NatsConnection, replicas: number): Promise<IdLease> {
    const server = connection.getServer();
    const { Kvm } = await import("@nats-io/kv");
    try {
      const kv = await patiently(() => new Kvm(connection).create(BUCKET, { history: 1, replicas }));
      return new IdLease(kv, server);
    } catch (error) {
      throw bucketError(error as Error, server);
    }
  }

  /**
   * A block that nobody had before.
   * @param above ids known to be in use: none of the block is at or below it
   * @throws natsUnusable
   */
  async lease(above: number): Promise<IdBlock> {
    const first = await this.#advance((next) => {
      const from = roundUp(Math.max(next, above + 1));
      return { from, to: from + BLOCK_IDS };
    });
    this.#end = Math.max(this.#end, first + BLOCK_IDS);
    return { first, end: first + BLOCK_IDS };
  }

  /** After NATS was away: should it have forgotten what was leased, it is told. @throws natsUnusable */
  async keep(): Promise<void> {
    await this.#advance((next) => ({ from: next, to: Math.max(next, this.#end) }));
  }

  async #advance(step: (next: number) => { from: number; to: number }): Promise<number> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      try {
        const entry = await patiently(() => this.kv.get(KEY));
        const there = entry !== null && entry.operation === "PUT";
        const next = there ? this.#read(entry.string()) : 1;
        const { from, to } = step(next);
        if (to > ID_END) throw unusable(this.server, "all ids below 2^53 are given away");
        if (to === next) return from;
        // One that was not answered may have been done all the same; the next then fails, and a block is left out.
        if (there) await patiently(() => this.kv.update(KEY, String(to), entry.revision));
        else await patiently(() => this.kv.create(KEY, String(to)));
        return from;
      } catch (error) {
        if (!isConflict(error)) throw bucketError(error as Error, this.server);
      }
    }
    throw unusable(this.server, `${ATTEMPTS} other hubs were faster, one after the other`);
  }

  #read(text: string): number {
    const next = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN;
    if (next <= ID_END) return next;
    throw unusable(this.server, `the key ${KEY} holds something else: ${JSON.stringify(text.slice(0, 40))}`);
  }
}

/** Servers of a cluster that have just started, or lost one of them, grant nothing for up to some ten seconds. */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  const endMs = performance.now() + ELECTION_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isPassing(error as Error) || performance.now() > endMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    }
  }
}

function isPassing({ name, message }: Error): boolean {
  return name === "TimeoutError" || /timeout|temporarily unavailable/i.test(message);
}

/** Blocks begin at 1, 65,537, ...: an id shows which block it is of. */
function roundUp(id: number): number {
  return Math.ceil((id - 1) / BLOCK_IDS) * BLOCK_IDS + 1;
}

/** Another hub has changed the key since it was read. */
function isConflict(error: unknown): boolean {
  const { code } = error as JetStreamError & { readonly code?: number };
  return code === 10071 || /wrong last sequence/i.test((error as Error).message);
}

function bucketError(error: Error, server: string): HubcastError {
  if (error instanceof HubcastError) return error;
  if (error.name === "JetStreamNotEnabled" || /jetstream.*not enabled|no responders/i.test(error.message)) {
    return noJetStream(server, error);
  }
  return unusable(server, error.message, error);
}

function unusable(server: string, why: string, cause?: Error): HubcastError {
  return new HubcastError("natsUnusable", `no ids from the bucket ${BUCKET} of NATS at ${server}: ${why}`, {
    cause,
    suggestions: [
      "Let this user make and use the key-value bucket, or free space for JetStream.",
      `If another program has it: nats kv rm ${BUCKET}, while no hub runs.`,
    ],
  });
}
