import type { CloseReason } from "../../protocol/close-reason.js";

/** What comes off a socket: a payload to check, the answer to a question, a ping to answer, why the
 * connection ends, or nothing of interest. */
export const KIND = { payload: 0, identity: 1, list: 2, ping: 3, goodbye: 4, other: 5 } as const;

/** What stands in front of a body, filled in by `Wire.readHead`. */
export interface Head {
  kind: number;
  headBytes: number;
  bodyBytes: number;
  /** Behind the body. */
  tailBytes: number;
}

/**
 * One protocol, as the load generator speaks it. The hub's are hub-wire.ts and hub-wire-2.ts; the benchmark brings those of other
 * servers, so that all are loaded by the same program.
 */
export interface Wire {
  /** Senders get their own messages too. */
  readonly echoes: boolean;
  /** Most bytes in front of a body. */
  readonly headBytesMax: number;
  /** What a client says first; it must be answered by an identity. @param index of the client */
  hello(index: number, token?: string): Buffer;
  /** A question that is answered by an identity, behind all that was delivered before. */
  readonly fence: Buffer;
  /** Asks for the ids of all others; absent where there is no such question. */
  readonly list?: Buffer;
  /** The answer to a ping. @param body of the ping */
  pong?(body: Buffer): Buffer;
  /** What stands in front of a payload that goes to these receivers; one head for each message that is needed. */
  messageHeads(receivers: readonly number[], payloadBytes: number): readonly Buffer[];
  /** What stands behind it. */
  readonly messageTail: Buffer;
  /** Reads what begins at `at`. @returns false when more bytes are needed. @throws when it is not this protocol */
  readHead(bytes: Buffer, at: number, end: number, into: Head): boolean;
  /** Own id, in the body of the first identity; absent where a client has none. */
  readId?(body: Buffer): number;
  /** Why the hub closes the connection, in the body of a goodbye. */
  readReason?(body: Buffer): CloseReason | undefined;
  readList?(body: Buffer): number[];
}
