import { readFile } from "node:fs/promises";
import { nowMs } from "../runtime/runner.js";
import type { Connection } from "./connection.js";
import { HUB_LIMITS } from "./machine/limits.js";
import type { HubMachine } from "./machine/machine.js";
import type { CompleteHubOptions } from "./options.js";

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
