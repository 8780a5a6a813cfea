import { connect } from "node:net";

/**
 * How long a TCP connection takes: one round trip of the network and the other side's kernel. All addresses are
 * tried at once, the first that answers counts.
 * @param addresses `host:port`, IPv6 in brackets
 * @returns milliseconds; undefined when none answers in time
 */
export async function roundTripMs(
  addresses: readonly string[],
  timeoutMs: number,
): Promise<number | undefined> {
  const endMs = performance.now() + timeoutMs;
  return await Promise.any(addresses.map((address) => bestOfTwo(address, endMs))).catch(() => undefined);
}

/** The first connection of a process also loads what connecting needs. */
async function bestOfTwo(address: string, endMs: number): Promise<number> {
  const first = await connectMs(address, endMs - performance.now());
  const second = connectMs(address, endMs - performance.now()).catch(() => first);
  return Math.min(first, await second);
}

function connectMs(address: string, timeoutMs: number): Promise<number> {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[|\]$/g, "");
  return new Promise((resolve, reject) => {
    const startMs = performance.now();
    const socket = connect({ host, port: Number(address.slice(colon + 1)), timeout: Math.max(1, timeoutMs) });
    const end = (settle: () => void) => {
      socket.destroy();
      settle();
    };
    socket.once("connect", () => end(() => resolve(performance.now() - startMs)));
    socket.once("timeout", () => end(() => reject(new Error(`no answer from ${address}`))));
    socket.once("error", (error) => end(() => reject(error)));
  });
}
