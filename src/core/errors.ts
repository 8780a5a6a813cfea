/** The meaning of an error code: its exit code in the CLI, its status over HTTP. */
interface ErrorKind {
  /** Exit code of a command that ends with it (docs/errors.md). */
  readonly exitCode: number;
  /** Status of an HTTP answer that carries it; absent when it never leaves the process that way. */
  readonly httpStatus?: number;
  /** One sentence for docs/errors.md, which a test compares with this table. */
  readonly meaning: string;
}

/** Every error that a user of hubcast can meet. docs/errors.md has a row for each; a test compares both ways. */
export const ERRORS = {
  bug: { exitCode: 1, httpStatus: 500, meaning: "Something in hubcast itself went wrong; please report it." },
  systemFailed: {
    exitCode: 1,
    httpStatus: 500,
    meaning:
      "The operating system refused something: a disk is full, a file is missing or not permitted, a limit is reached.",
  },
  demoFailed: { exitCode: 1, meaning: "A step of the demo did not come true; the message says which." },
  usage: {
    exitCode: 2,
    meaning: "The command line does not say what to do: unknown flag, missing or bad value.",
  },
  invalidOption: { exitCode: 2, meaning: "An option given to a start function or flag is out of its range." },
  nodeTooOld: {
    exitCode: 2,
    meaning: "This Node.js is older than 22.19 and no newer one is installed beside it.",
  },
  ambiguousNode: { exitCode: 2, meaning: "No --url was given and several nodes run on this machine." },
  ambiguousHub: { exitCode: 2, meaning: "No --addr was given and several hubs run on this machine." },
  interrupted: { exitCode: 130, meaning: "A client command was stopped by a signal." },

  portInUse: { exitCode: 3, meaning: "The address to listen on is taken by another process." },
  cannotListen: {
    exitCode: 3,
    meaning: "The address to listen on is not one of this machine, or not permitted.",
  },
  unreachable: { exitCode: 3, meaning: "Nothing answers at that address." },
  ownLimit: {
    exitCode: 3,
    meaning: "This process may open no more files or connections, or this machine has no port left.",
  },
  certificateRefused: {
    exitCode: 4,
    meaning: "The server's certificate is not trusted here, has expired, or is for another name.",
  },
  notHubcast: { exitCode: 3, meaning: "Something answers at that address, but it is not a hubcast server." },
  nodeFailed: { exitCode: 3, meaning: "The node that was asked failed at the call; its log says more." },
  hubsApart: { exitCode: 3, meaning: "The hubs at these addresses do not know of each other's clients." },
  connectionLost: {
    exitCode: 3,
    meaning: "The server closed the connection before the answer was complete.",
  },
  natsUnreachable: { exitCode: 3, meaning: "No NATS server answers at the addresses of the engine." },
  natsRefused: {
    exitCode: 4,
    meaning: "The NATS server lets nobody in with these credentials, or with this kind of TLS.",
  },
  natsNoJetStream: { exitCode: 4, meaning: "The NATS server runs without JetStream." },
  natsStreamDiffers: {
    exitCode: 4,
    meaning: "The cluster's stream exists in NATS with other settings than this node asks for.",
  },
  natsUnusable: { exitCode: 4, meaning: "The NATS server does not grant what the engine needs of it." },

  badRequest: {
    exitCode: 4,
    httpStatus: 400,
    meaning: "The request cannot be understood: broken JSON, bad query.",
  },
  unauthorized: {
    exitCode: 4,
    httpStatus: 401,
    meaning: "The server asks for a token and got none, or a wrong one.",
  },
  forbidden: {
    exitCode: 4,
    httpStatus: 403,
    meaning: "The token is known, but its role does not allow this call.",
  },
  foreignOrigin: {
    exitCode: 4,
    httpStatus: 403,
    meaning: "The request comes from a web page of another origin.",
  },
  foreignHost: {
    exitCode: 4,
    httpStatus: 403,
    meaning: "The Host header names neither loopback nor a bound name.",
  },
  notFound: { exitCode: 4, httpStatus: 404, meaning: "No such item or route." },
  methodNotAllowed: {
    exitCode: 4,
    httpStatus: 405,
    meaning: "The route exists, but not for this method.",
  },
  requestTimeout: { exitCode: 4, httpStatus: 408, meaning: "The request was not complete in time." },
  conflict: { exitCode: 4, httpStatus: 409, meaning: "The id is held with another raw or signature." },
  eventsGone: {
    exitCode: 4,
    httpStatus: 410,
    meaning: "The place to resume events from is unknown or too old.",
  },
  tooLarge: { exitCode: 4, httpStatus: 413, meaning: "A body, line or item is larger than its limit." },
  unsupportedMediaType: {
    exitCode: 4,
    httpStatus: 415,
    meaning: "The content type of the request is not one of ours.",
  },
  invalidItem: {
    exitCode: 4,
    httpStatus: 422,
    meaning: "The item breaks a rule: a length, a character, its signature.",
  },
  timestampOff: {
    exitCode: 4,
    httpStatus: 422,
    meaning: "The timestamp is more than 2 min off the node's clock.",
  },
  itemExpired: {
    exitCode: 4,
    httpStatus: 422,
    meaning: "The item is older than the retention of the cluster.",
  },
  refusedByPolicy: {
    exitCode: 4,
    httpStatus: 422,
    meaning: "The node does not accept this scheme or this key.",
  },
  refusedTopic: {
    exitCode: 4,
    httpStatus: 422,
    meaning: "The node accepts this key only under other topics.",
  },
  keyRateLimited: {
    exitCode: 4,
    httpStatus: 429,
    meaning: "Too many items in a short time were signed by one key.",
  },
  tooManyGuesses: {
    exitCode: 4,
    httpStatus: 429,
    meaning: "Too many wrong tokens came from one address in a short time.",
  },
  rateLimited: { exitCode: 4, httpStatus: 429, meaning: "Too many requests or items in a short time." },
  clockSkew: {
    exitCode: 4,
    httpStatus: 503,
    meaning: "The node's clock is more than 2 min off those of a majority.",
  },
  clocksDiffer: {
    exitCode: 6,
    meaning: "Clocks of nodes are more than 2 min apart, and no majority says which is right.",
  },
  clockJumped: {
    exitCode: 6,
    meaning: "The wall clock of the node has jumped, and the node goes by its old time for up to 10 min.",
  },
  itemsAhead: {
    exitCode: 6,
    meaning:
      "The node, or a peer, holds items stamped ahead of its clock: other nodes take them when their time has come.",
  },
  stopping: { exitCode: 4, httpStatus: 503, meaning: "The server is shutting down." },
  tooManyClients: {
    exitCode: 4,
    httpStatus: 503,
    meaning: "The hub has as many clients as it is allowed to have.",
  },
  tooManyGroups: { exitCode: 4, httpStatus: 503, meaning: "The client is in as many groups as it may be." },
  tooManySubscribers: { exitCode: 4, httpStatus: 503, meaning: "The limit of event subscribers is reached." },
  tooManyServices: {
    exitCode: 4,
    meaning: "More services are announced on the network than discovery remembers.",
  },
  natsAway: {
    exitCode: 4,
    httpStatus: 503,
    meaning:
      "The node has no NATS server now, and keeps nothing on disk that it could publish later; or the hub has none.",
  },
  natsFull: {
    exitCode: 4,
    httpStatus: 507,
    meaning: "The cluster's stream in NATS takes nothing more: it is full.",
  },
  nodeFull: { exitCode: 4, httpStatus: 507, meaning: "The node's limit of items or bytes is reached." },
  storageFailed: {
    exitCode: 4,
    httpStatus: 507,
    meaning: "The disk refused to keep the item: full, or failing.",
  },
  itemsLeftOut: {
    exitCode: 4,
    meaning: "Stored items were damaged and left out, and no peer was met yet that may bring them back.",
  },
  noPeer: { exitCode: 6, meaning: "Peers were named, and the node has a link with nobody." },
  retentionDiffers: {
    exitCode: 6,
    meaning: "Nodes of one cluster keep items for different lengths of time, and exchange none.",
  },
  policyDiffers: {
    exitCode: 6,
    meaning: "Nodes of one cluster accept other schemes or keys than each other.",
  },
  versionDiffers: {
    exitCode: 6,
    meaning: "Nodes of one cluster run versions that cannot talk to each other.",
  },
  clusterKeyDiffers: {
    exitCode: 6,
    meaning: "A node of this cluster is seen on the network that has another cluster key, or none.",
  },
  twin: { exitCode: 6, meaning: "Two processes run with the same identity: a data directory was copied." },
  dataDirInUse: { exitCode: 4, meaning: "Another process has the data directory." },
  dataDirForeign: {
    exitCode: 4,
    meaning: "The data directory holds something else: another program's files, another cluster's items.",
  },
  dataDirDamaged: { exitCode: 4, meaning: "The data directory is not whole any more." },
  dataDirUnusable: {
    exitCode: 4,
    meaning:
      "The system does not let the node use the data directory: no permission, no space, no directory.",
  },
  stateFileInUse: { exitCode: 4, meaning: "Another watcher has the state file." },
  stateFileForeign: {
    exitCode: 4,
    meaning:
      "The state file holds something else: another program's text, the state of another cluster or topic.",
  },
  stateFileDamaged: { exitCode: 4, meaning: "A line of the state file is not what hubcast wrote." },

  notDelivered: { exitCode: 5, meaning: "A message did not reach every receiver that was named." },
  deadline: { exitCode: 5, meaning: "The deadline passed before the work was done." },
  disagreement: { exitCode: 6, meaning: "The nodes do not hold the same set." },
  ruleBroken: {
    exitCode: 7,
    meaning: "A rule that must always hold was broken; the line that replays it is printed.",
  },
} as const satisfies Record<string, ErrorKind>;

/** The stable code of an error: the same word in the library, in problem JSON, in `--json` and in docs/errors.md. */
export type ErrorCode = keyof typeof ERRORS;

interface HubcastErrorOptions {
  /** Next steps, each a complete imperative sentence. */
  readonly suggestions?: readonly string[];
  readonly cause?: unknown;
}

/**
 * The only error that the library throws on purpose. `message` says what happened, with which values;
 * `suggestions` name the next steps; `code` is for programs.
 */
export class HubcastError extends Error {
  override readonly name = "HubcastError";
  readonly suggestions: readonly string[];

  constructor(
    readonly code: ErrorCode,
    message: string,
    options: HubcastErrorOptions = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.suggestions = options.suggestions ?? [];
  }

  /** Exit code of a command that ends with this error. */
  get exitCode(): number {
    return ERRORS[this.code].exitCode;
  }

  /** HTTP status of an answer that carries this error; 500 for those that have none of their own. */
  get httpStatus(): number {
    return (ERRORS[this.code] as ErrorKind).httpStatus ?? 500;
  }
}

/** Whether the program that answers failed itself: its caller could not have avoided it. */
export function isInternal({ code }: Pick<HubcastError, "code">): boolean {
  return code === "bug" || code === "systemFailed";
}

/** The error as it is, or wrapped as `bug` when it is none of ours. */
export function asHubcastError(error: unknown): HubcastError {
  if (error instanceof HubcastError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (!isSystemError(error)) return new HubcastError("bug", message, { cause: error });
  return new HubcastError("systemFailed", message, {
    suggestions: [SYSTEM_ADVICE[error.code] ?? "Mend what the message names, then try again."],
    cause: error,
  });
}

/** By the code of the system's error. */
const SYSTEM_ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: "Free some room on the disk, then try again.",
  EDQUOT: "Free some room in the quota of this account, then try again.",
  EROFS: "Name a place that can be written to.",
  EACCES: "Name a place that this account may use.",
  EPERM: "Name a place that this account may use.",
  ENOENT: "Name a place that is there.",
  EMFILE: "Raise the limit of open files (ulimit -n).",
  ENFILE: "Raise the limit of open files of this machine.",
};

/** An error of a system call, which no check beforehand could have avoided. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException & { readonly code: string } {
  if (!(error instanceof Error)) return false;
  const { code, syscall } = error as NodeJS.ErrnoException;
  return typeof code === "string" && typeof syscall === "string";
}

/** Why an address cannot be connected to, in words, by the code of the system. */
export const CONNECT_REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ENOTFOUND: "the name is unknown",
  EAI_AGAIN: "the name cannot be resolved now",
  EHOSTUNREACH: "no route to it",
  ENETUNREACH: "no route to it",
  ETIMEDOUT: "it takes no connection",
};
