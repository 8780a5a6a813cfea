/**
 * What the storage and the thread that owns its files say to each other: one request at a time has one reply, in
 * order. Only types live here, so that the thread's file needs no other file of ours when it starts.
 */
export type StorageRequest =
  /** Opens the database; creates it where there is none. Replied to by `opened`. */
  | { readonly type: "open" }
  /** Asks for the records behind a key, or for the first ones. Replied to by `records`. */
  | { readonly type: "read"; readonly after: Uint8Array | undefined }
  /** Everything was read: memory that mirrors the file is given back. Replied to by `done`. */
  | { readonly type: "readEnded" }
  /** Changes all of it in one transaction. Replied to by `done`, once it is synced. */
  | ({ readonly type: "commit" } & StorageWrite)
  /** Gives every file back. Replied to by the thread's end. */
  | { readonly type: "close" };

export type StorageReply =
  /** The first message of a thread: the lock on the directory is its own. */
  | { readonly type: "locked" }
  | {
      readonly type: "opened";
      readonly entries: number;
      readonly position: string | undefined;
      /** Keys of items that are marked, one behind the other. */
      readonly marked: Uint8Array;
    }
  /** Records as `records.ts` frames them; `last` is their last key, absent when nothing is left. */
  | { readonly type: "records"; readonly records: Uint8Array; readonly last: Uint8Array | undefined }
  | { readonly type: "done" }
  /** It did not work, and nothing was changed. */
  | { readonly type: "failed"; readonly fault: StorageFault };

/** What one transaction writes: records as `records.ts` frames them, and keys one behind the other. */
export interface StorageWrite {
  readonly put: Uint8Array;
  readonly remove: Uint8Array;
  /** Of items that the cluster's log lacks, and of those that it has by now. */
  readonly mark: Uint8Array;
  readonly unmark: Uint8Array;
  readonly position: string | undefined;
}

export interface StorageFault {
  /** As the system or LMDB words it. */
  readonly message: string;
  /** An errno, an LMDB code (-30799 to -30700), or the primary code of SQLite where the lock failed. */
  readonly code: number;
}

/** Handed to the thread when it starts. */
export interface ThreadFiles {
  readonly lock: string;
  readonly database: string;
}
