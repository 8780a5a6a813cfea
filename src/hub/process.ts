import { readFile } from "node:fs/promises";
import { setFlagsFromString } from "node:v8";
import { connectionsThatFit } from "../runtime/open-files.js";
import { collectGarbage, collectWhatIsUnused } from "../runtime/unused-memory.js";
import type { Connection } from "./connection.js";
import { HUB_LIMITS } from "./machine/limits.js";
import type { HubMachine } from "./machine/machine.js";
import type { CompleteHubOptions } from "./options.js";

/** The clients of the options, or fewer where the limit of open files requires it. */
export function clientsThatFit({ clientsMax, logger }: CompleteHubOptions): number {
  const { count, openFilesMax } = connectionsThatFit(clientsMax, HUB_LIMITS.filesReserved);
  if (count === clientsMax) return count;
  const fields = { clientsMax: count, wanted: clientsMax, openFilesMax };
  logger?.warn(
    fields,
    `takes ${count} clients, not ${clientsMax}: raise the limit of open files (ulimit -n)`,
  );
  return count;
}

/**
 * Tells the machine how many bytes the peers of silent clients of version 1 have not acknowledged: they have no
 * pings, and nothing else shows that a peer is gone.
 * @returns a timer for `clearInterval`
 */
export function watchUnacknowledged(
  connections: () => Iterable<Connection>,
  machine: HubMachine,
  port: number,
  { progressTimeoutMs }: CompleteHubOptions,
): NodeJS.Timeout {
  const intervalMs = Math.min(HUB_LIMITS.unacknowledgedLookMs, progressTimeoutMs / 4);
  const isSilent = ({ session }: Connection): boolean => {
    if (session.version > 1 || session.outbox.bytesOut === 0) return false;
    return session.notTakenSinceMs > 0 || nowMs() - session.heardAtMs >= intervalMs;
  };
  const check = async (): Promise<void> => {
    const silent = [...connections()].filter(isSilent);
    if (silent.length === 0) return;
    const bytes = await unacknowledged(port);
    for (const { session, address } of silent)
      machine.handle({ type: "unacknowledged", session, bytes: bytes.get(address) ?? 0 }, nowMs());
  };
  return setInterval(() => void check(), intervalMs).unref();
}

/**
 * Bytes in the kernel that peers have not acknowledged, by remote `host:port`; connections without any are left out.
 * Node does not report these. Linux; empty elsewhere.
 * @param port of this side
 */
async function unacknowledged(port: number): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    const text = await readFile(table, "utf8").catch(() => "");
    for (const { remote, bytes } of unacknowledgedIn(text, port)) found.set(remote, bytes);
  }
  return found;
}

/** Lines of proc(5) `net/tcp`: number, local address, remote address, state, tx_queue:rx_queue, all in hex. */
export function* unacknowledgedIn(table: string, port: number): Iterable<{ remote: string; bytes: number }> {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  for (const line of table.split("\n")) {
    if (!line.includes(local)) continue;
    const [, from, to, , queues] = line.trim().split(/\s+/);
    const bytes = Number.parseInt(queues?.split(":")[0] ?? "0", 16);
    if (bytes > 0 && to !== undefined && `${from} `.endsWith(local)) yield { remote: addressOf(to), bytes };
  }
}

/** `0100007F:1F90` is 127.0.0.1:8080: each four bytes are a number of this machine, little-endian. */
function addressOf(hex: string): string {
  const [address = "", port = "0"] = hex.split(":");
  const bytes = Buffer.from(address, "hex");
  for (let at = 0; at < bytes.length; at += 4) bytes.subarray(at, at + 4).reverse();
  return `${bytes.length === 4 ? bytes.join(".") : address6(bytes)}:${Number.parseInt(port, 16)}`;
}

function address6(bytes: Buffer): string {
  if (bytes.subarray(0, 12).equals(MAPPED)) return `::ffff:${bytes.subarray(12).join(".")}`;
  const groups = bytes.toString("hex").match(/.{4}/g)!.join(":");
  return new URL(`http://[${groups}]`).hostname.slice(1, -1);
}

const MAPPED = Buffer.from("00000000000000000000ffff", "hex");

const START_IS_OVER_MS = 1_000;

/**
 * For a process that only runs a hub: full collections come when live memory, buffers included, has grown to four
 * times. A lagging receiver's queue is new memory, to which V8 answered with a full collection each second, of 3 to
 * 10 ms: as long as the p99 of the other clients (bench/hub.ts stops-paced). Costs some 15 % more memory at full
 * load.
 * @param usedBytes bytes of frames and queues
 */
export function tuneHeap(usedBytes: () => number): void {
  setFlagsFromString("--heap-growing-percent=300");
  // What the start left behind: 2 MB. A hub that is used by now needs the room.
  setTimeout(() => usedBytes() === 0 && void collectGarbage(), START_IS_OVER_MS).unref();
  // 300 MB after bench/abuse-hub.ts frames.
  collectWhatIsUnused(() => {
    const { arrayBuffers, heapTotal, heapUsed } = process.memoryUsage();
    return arrayBuffers - usedBytes() + heapTotal - heapUsed;
  });
}

/** Epoch ms by a clock that is never set back. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** The timer of a machine: wakes it at the earliest planned instant. */
export class WakeTimer {
  #timer: NodeJS.Timeout | undefined;
  #atMs = Number.POSITIVE_INFINITY;

  /** @param wake `lateMs`: how much later than planned it is */
  constructor(private readonly wake: (nowMs: number, lateMs: number) => void) {}

  /** @param atMs epoch ms; Infinity plans nothing */
  plan(atMs: number): void {
    if (atMs >= this.#atMs) return;
    clearTimeout(this.#timer);
    this.#atMs = atMs;
    this.#timer = setTimeout(this.#onTimer, Math.max(1, Math.ceil(atMs - nowMs())));
  }

  /** For good. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#atMs = Number.NEGATIVE_INFINITY;
  }

  readonly #onTimer = (): void => {
    const now = nowMs();
    const lateMs = now - this.#atMs;
    this.#atMs = Number.POSITIVE_INFINITY;
    this.wake(now, lateMs);
  };
}
