import { hash } from "node:crypto";
import { createReadStream, readFileSync, statSync, unwatchFile, watchFile } from "node:fs";
import { stat } from "node:fs/promises";
import { HubcastError } from "../core/errors.js";
import type { TokenSource } from "../core/options.js";
import type { ItemDraft } from "../node/broadcast.js";
import type { TlsPair } from "../runtime/certificate.js";
import { startStep } from "../runtime/start-step.js";
import type { Output } from "./output.js";

/** The largest file: a list of 60,000 keys. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;
/** The file may be a pipe whose writer never comes. */
const READ_MS_MAX = 10_000;

/**
 * The text of a file that a flag names, without white space around it.
 * @param flag for the error: `--token-file`
 * @throws usage when it cannot be read, is too long, or empty; deadline when nothing comes
 */
export async function readFlagFile(path: string, flag: string): Promise<string> {
  return (await readWhole(path, flag)).trim();
}

/**
 * The token that a client shows, or that a hub asks for: the first word of the file of `--token-file`, else of
 * HUBCAST_TOKEN. The value of a flag would show in the list of processes.
 * @throws as readFlagFile
 */
export async function readToken(file: string | undefined): Promise<string | undefined> {
  const text = file ? await readFlagFile(file, "--token-file") : tokenVariable();
  return text ? text.split(/\s/)[0] : undefined;
}

/** The text of HUBCAST_TOKEN. @throws usage when it is blank: who sets it means to have a token */
export function tokenVariable(): string | undefined {
  const text = process.env.HUBCAST_TOKEN || undefined;
  if (text?.trim() !== "") return text?.trim();
  throw new HubcastError("usage", "HUBCAST_TOKEN is blank", { suggestions: ["Unset it to have no token."] });
}

/**
 * As `readToken`, for a client that dials again: the file is read then, since its token may have been renewed. One that
 * cannot be read any more, such as a pipe, gives the token that it gave before.
 */
export async function tokenSource(file: string | undefined): Promise<TokenSource | undefined> {
  let token = await readToken(file);
  if (!file || token === undefined) return token;
  let isFirst = true;
  return async () => {
    if (!isFirst) token = await readToken(file).catch(() => token);
    isFirst = false;
    return token!;
  };
}

/** The lines of such a file with their numbers, from 1, without empty ones and comments (`# ...`). */
export async function readFlagLines(path: string, flag: string): Promise<readonly FlagLine[]> {
  const lines = (await readWhole(path, flag)).split("\n");
  return lines
    .map((line, index) => ({ number: index + 1, line: line.trim() }))
    .filter(({ line }) => line !== "" && !line.startsWith("#"));
}

/** The certificate and the key of a server, where its flags name them. @throws as readFlagFile */
export async function readTlsFiles(flags: TlsFlags): Promise<TlsPair | undefined> {
  const { "tls-cert": cert, "tls-key": key } = flags;
  if (cert === undefined || key === undefined) return undefined;
  return { cert: await readFlagFile(cert, "--tls-cert"), key: await readFlagFile(key, "--tls-key") };
}

interface TlsFlags {
  readonly "tls-cert"?: string | undefined;
  readonly "tls-key"?: string | undefined;
}

interface FlagLine {
  readonly number: number;
  readonly line: string;
}

async function readWhole(path: string, flag: string): Promise<string> {
  let text: string;
  try {
    const step = textOf(createReadStream(path, { end: FILE_BYTES_MAX, encoding: "utf8" }));
    text = await startStep(`reading ${flag} ${path}`, step, { lengthMs: READ_MS_MAX });
  } catch (error) {
    if (error instanceof HubcastError) throw error;
    throw new HubcastError("usage", `cannot read ${flag}: ${(error as Error).message}`, { cause: error });
  }
  if (Buffer.byteLength(text) > FILE_BYTES_MAX)
    throw new HubcastError("usage", `${flag}: ${path} has more than ${FILE_BYTES_MAX} bytes`);
  if (text.trim() === "") throw new HubcastError("usage", `${flag}: ${path} is empty`);
  return text;
}

async function textOf(stream: AsyncIterable<string>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk;
  return text;
}

/**
 * Writes a secret to a new file that only its owner can read (mode 0600).
 * @throws usage when there is a file already, or none can be made
 */
export async function writeSecretFile(path: string, text: string): Promise<void> {
  const { rm, writeFile } = await import("node:fs/promises");
  try {
    await writeFile(path, text, { mode: 0o600, flag: "wx" });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EEXIST") {
      // A part of a key is useless, and would stop the next attempt.
      await rm(path, { force: true }).catch(() => {});
      throw new HubcastError("usage", `cannot write --out: ${message}`, { cause: error });
    }
    throw new HubcastError("usage", `${path} exists already, and a key is never written over`, {
      suggestions: ["Name another file, or move that one away."],
    });
  }
}

/** Signs items with the key in the file of `--sign-key`. @throws usage */
export async function itemSigner(path: string): Promise<(draft: ItemDraft) => ItemDraft> {
  const { readSigningKey, signItem } = await import("../node/keys.js");
  const key = readSigningKey(await readFlagFile(path, "--sign-key"));
  if (key) return (draft) => signItem(draft, key);
  throw noKey(`--sign-key: ${path} holds no Ed25519 private key (PKCS#8 PEM, without passphrase)`);
}

/** The public key, 64 hex digits, of a file with a private or public one. @throws usage */
export async function publicKey(path: string): Promise<string> {
  const { publicKeyOf } = await import("../node/keys.js");
  const key = publicKeyOf(await readFlagFile(path, "FILE"));
  if (key) return key;
  throw noKey(`${path} holds no Ed25519 key (PEM, without passphrase)`);
}

function noKey(message: string): HubcastError {
  return new HubcastError("usage", message, {
    suggestions: ["Make one: hubcast keys generate --out author.pem"],
  });
}

/** How often a file is looked at: by name, so that one that is renamed over it, or sits on a share, is seen too. */
const LOOK_MS = 500;
/** Files that belong together are not written at one instant: what cannot be used is read once more after this long. */
const AGAIN_MS = 1_500;

/** Files that a running server reads again when they change, or when it is told to. */
export class WatchedFiles {
  readonly #watches: Watch[] = [];
  readonly #digestsAtStart: ReadonlyMap<string, string>;

  /** @param paths to be watched; they are looked at before the server reads them, so that no change goes untold */
  constructor(
    private readonly output: Output,
    paths: readonly (string | undefined)[],
  ) {
    const given = paths.filter((path) => path !== undefined);
    this.#digestsAtStart = new Map(given.map((path) => [path, digestOf(path)]));
  }

  /**
   * @param paths files of one thing, such as a certificate and its key; nothing is watched when a path is undefined
   * @param take reads them and puts them to use; when it throws twice in a row, the user is warned
   * @param taken told to the user when what they hold is new, once
   * @param kept ends the warning: what stays in force
   */
  add(
    paths: readonly (string | undefined)[],
    take: () => Promise<void>,
    { taken, kept }: { readonly taken: string; readonly kept: string },
  ): void {
    const given = paths.filter((path) => path !== undefined);
    if (given.length < paths.length) return;
    const failed = ({ message }: Error) => this.output.warning(`${message}; ${kept}`);
    const digest = given.map((path) => this.#digestsAtStart.get(path)).join(" ");
    this.#watches.push(new Watch(given, digest, take, () => this.output.note(taken), failed));
  }

  /** Reads all now. */
  look(): void {
    for (const watch of this.#watches) watch.look();
  }

  stop(): void {
    for (const watch of this.#watches.splice(0)) watch.stop();
  }
}

class Watch {
  #again: NodeJS.Timeout | undefined;
  #stopped = false;
  /** Of the contents in force. */
  #digest: string;

  constructor(
    private readonly paths: readonly string[],
    digest: string,
    private readonly take: () => Promise<void>,
    private readonly taken: () => void,
    private readonly failed: (error: Error) => void,
  ) {
    this.#digest = digest;
    for (const path of paths) watchFile(path, { interval: LOOK_MS }, this.look);
    // They may have changed between their first reading and now.
    this.look();
  }

  readonly look = (): void => {
    this.#read().catch(() => {
      if (this.#stopped) return;
      clearTimeout(this.#again);
      this.#again = setTimeout(() => {
        this.#read().catch((error: Error) => this.#stopped || this.failed(error));
      }, AGAIN_MS);
    });
  };

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#again);
    for (const path of this.paths) unwatchFile(path, this.look);
  }

  async #read(): Promise<void> {
    // Each reading of a pipe that nobody writes to would take a thread for good, of four that there are.
    for (const path of this.paths) {
      if (!(await stat(path)).isFile())
        throw new HubcastError("usage", `${path} is no file that can be read again`);
    }
    const digest = this.#digestNow();
    if (this.#stopped || digest === this.#digest) return;
    await this.take();
    // One of them may have changed meanwhile. Then the watch sees that, and they are read again.
    if (digest === this.#digest || digest !== this.#digestNow()) return;
    this.#digest = digest;
    this.taken();
  }

  #digestNow(): string {
    return this.paths.map(digestOf).join(" ");
  }
}

/** @returns "" where there is no file that can be read: whoever puts it to use says what is wrong with it */
function digestOf(path: string): string {
  try {
    return statSync(path).isFile() ? hash("sha256", readFileSync(path)) : "";
  } catch {
    return "";
  }
}
