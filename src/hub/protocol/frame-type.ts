/**
 * The type byte of every frame, docs/protocol-hub.md. 1 to 3 are version 1; from 16 on version 2. A number means
 * one thing per direction: most questions and their answers share one.
 */
export const FRAME = {
  /** Question: no body. Answer: u64 own id. */
  identity: 1,
  /** Question: no body. Answer: u64 ids of all other clients. */
  list: 2,
  /** To the hub: u8 n, n x u64 receiver, payload. From it: payload. */
  relay: 3,

  /** To the hub: version, wanted features, name, token. From it: what was agreed. */
  hello: 16,
  /** To the hub: flags, u64 number, u8 n, n x u64 receiver, payload. From it: u64 sender, payload. */
  namedRelay: 17,
  /** To the hub: flags, u64 number, payload. From it: u64 sender, payload. */
  toAll: 18,
  /** To the hub: flags, u64 number, u8 length, group, payload. From it: u64 sender, u8 length, group, payload. */
  toGroup: 19,
  /** Group name. Answer: u32 members, group name. */
  join: 20,
  /** Group name. Answer: u32 members left, group name. */
  leave: 21,
  /** Question: no body. Answer: u8 more, then per client u64 id, u8 version, u8 length, name. */
  roster: 22,
  /** From the hub: u8 what, u8 close reason, u64 id, name. */
  presence: 23,
  /** Either way: 8 bytes that come back in a pong. */
  ping: 24,
  pong: 25,
  /** From the hub: u64 number, u32 reached, unknown, evicted, then the ids of the last two. */
  receipt: 26,
  /** From the hub: u8 code, text. The connection goes on. */
  error: 27,
  /** From the hub: u8 close reason, text. The connection is closed behind it. */
  goodbye: 28,
  /** From the hub: u64 since (epoch ms), u64 until, then the name of another hub. */
  gap: 29,
} as const;

/** The version that this hub and client speak at most. */
export const VERSION = 2;

/** Bits of the features in a hello. */
export const FEATURE = {
  /** Frame 23 when clients come and go. */
  presence: 1,
} as const;

/** Bits of the flags of a message of version 2. */
export const FLAG = {
  /** The sender wants a frame 26. */
  receipt: 1,
} as const;

/** Codes of an error frame. */
export const WIRE_ERROR = { tooManyGroups: 1, badName: 2 } as const;
