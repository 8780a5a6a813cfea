import { networkInterfaces } from "node:os";
import { basename, relative } from "node:path";
import { isSea } from "node:sea";
import type { Logger } from "pino";
import { urlHost } from "../core/hosts.js";
import { columnsOf, shown } from "../core/text.js";
import { formatSize } from "../core/units.js";
import type { Hub } from "../hub/index.js";
import type { Peer } from "../node/broadcast.js";
import { JoinedLines, moreLike } from "./logger.js";
import type { Output } from "./output.js";

const ON_TERMINAL_MS = 500;
const LINE_MS = 1_000;

/**
 * Shows what a server does while it runs: on a terminal one line that stays below what else it says, otherwise a line a
 * second on stderr.
 * @param asLines a line a second on a terminal too
 * @returns stops it
 */
export function showLive(line: () => string | Promise<string>, output: Output, asLines = false): () => void {
  const { stderr, stdout } = process;
  const screen =
    stderr.isTTY && process.env.TERM !== "dumb" && !output.quiet && !asLines
      ? new StatusLine(stderr, [stdout])
      : undefined;
  let stopped = false;
  const show = async () => {
    const text = await line();
    if (stopped) return;
    if (screen) screen.show(text);
    else output.note(text);
  };
  const timer = setInterval(show, screen ? ON_TERMINAL_MS : LINE_MS);
  return () => {
    stopped = true;
    clearInterval(timer);
    screen?.close();
  };
}

/** The last line of a terminal, always the newest: what else this process writes to its streams goes above it. */
export class StatusLine {
  #text = "";
  readonly #restore: (() => void)[] = [];
  readonly #write: (text: string) => void;

  /** @param terminal where it stands @param others streams that may end on the same terminal */
  constructor(
    private readonly terminal: NodeJS.WriteStream,
    others: readonly NodeJS.WriteStream[],
  ) {
    this.#write = terminal.write.bind(terminal);
    for (const stream of [terminal, ...others]) {
      if (!stream.isTTY) continue;
      const write = stream.write;
      const above = (...args: Parameters<typeof write>) => {
        const hidden = this.#text;
        this.#draw("");
        const took = write.apply(stream, args);
        this.#draw(hidden);
        return took;
      };
      this.#restore.push(() => {
        stream.write = write;
      });
      stream.write = above as typeof write;
    }
  }

  show(text: string): void {
    this.#draw(shown(text, (this.terminal.columns || 80) - 1));
  }

  /** Takes it away. Idempotent. */
  close(): void {
    this.#draw("");
    for (const restore of this.#restore.splice(0)) restore();
  }

  /** A terminal that has become narrower has wrapped the line: its first rows are above the cursor. */
  #erasure(): string {
    const above = Math.floor(columnsOf(this.#text) / (this.terminal.columns || 80));
    return above > 0 ? `\r\x1b[${above}A\x1b[J` : "\r\x1b[2K";
  }

  #draw(text: string): void {
    if (text !== "" || this.#text !== "") this.#write(this.#erasure() + text);
    this.#text = text;
  }
}

/** Rates of a hub since the last line, as one line. */
export class HubLine {
  #before;
  #atMs = performance.now();

  constructor(private readonly hub: Hub) {
    this.#before = hub.stats();
  }

  line(): string {
    const now = this.hub.stats();
    const seconds = Math.max(0.001, (performance.now() - this.#atMs) / 1_000);
    const rate = (field: "messagesIn" | "messagesOut" | "bytesIn" | "bytesOut"): number =>
      Math.round((now[field] - this.#before[field]) / seconds);
    const why = now.reasons.length > 0 ? `${now.state} (${now.reasons.join(", ")}), ` : "";
    const line =
      `${why}${now.clients} clients, in ${rate("messagesIn")}/s (${formatSize(rate("bytesIn"))}/s), ` +
      `out ${rate("messagesOut")}/s (${formatSize(rate("bytesOut"))}/s), memory ${formatSize(now.memoryBytes)}`;
    this.#before = now;
    this.#atMs = performance.now();
    return line;
  }
}

/** Peers whose last state is remembered; past it the one that changed longest ago is forgotten. */
const PEERS_KNOWN_MAX = 10_000;

/**
 * Reports on stderr which peers a node finds and loses, each once: not what the log tells already. Peers of one state that
 * come at once are counted, as equal lines of the log are.
 * @returns told each change of a peer
 */
export function reportPeers(logger: Logger, output: Output): (peer: Peer) => void {
  const known = new Map<string, Peer["state"]>();
  const joined = new JoinedLines();
  process.once("exit", () => joined.report());
  return (peer) => {
    const isNew = known.get(peer.id) !== peer.state;
    known.delete(peer.id);
    known.set(peer.id, peer.state);
    if (known.size > PEERS_KNOWN_MAX) known.delete(known.keys().next().value!);
    // The log warns of addresses that are not reached.
    if (!isNew || peer.state === "unreached" || logger.isLevelEnabled("info")) return;
    const line = peerLine(peer);
    joined.say(
      peer.state,
      () => output.note(line),
      (more) => output.note(moreLike(line, more)),
    );
  };
}

/** The state of a peer, for people: `peer kitchen connected (192.168.0.7:4001)`. */
export function peerLine(peer: Peer): string {
  const detail = peer.reason ?? peer.address;
  return `peer ${peer.name} ${peer.state} (${detail})`;
}

/** The words that start this program from the same directory, in a shell: `node bin/run.js` in a checkout. */
export function programWords(path = process.argv[1] ?? "", directory = process.cwd()): string {
  if (isSea()) return shellWord(process.argv0);
  if (basename(path) === "run.js") {
    const near = relative(directory, path);
    return `node ${shellWord(near.startsWith("..") ? path : near)}`;
  }
  // npx has its programs on no PATH but its own.
  return /[\\/]node_modules[\\/]\.bin[\\/]/.test(path) ? "npx hubcast" : "hubcast";
}

/** A word as a POSIX shell reads it. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Flags and their values as words; those without a value are left out. */
export function flagWords(flags: Readonly<Record<string, string | undefined>>): string {
  return Object.entries(flags)
    .flatMap(([name, value]) => (value === undefined ? [] : [` --${name} ${shellWord(value)}`]))
    .join("");
}

/**
 * The addresses at which other machines reach a listener of this one; none when it is bound to one address.
 * @param host that the listener is bound to
 * @returns IPs, IPv6 in brackets; without link-local ones
 */
export function addressesFromElsewhere(host: string, interfaces = networkInterfaces()): readonly string[] {
  if (host !== "0.0.0.0" && host !== "::") return [];
  return Object.values(interfaces)
    .flatMap((entries) => entries ?? [])
    .filter(({ internal, family }) => !internal && (host === "::" || family === "IPv4"))
    .filter(({ address }) => !/^fe[89ab]/i.test(address))
    .map(({ address }) => urlHost(address));
}
