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
  return await Promise.any(addresses.map((address) => connectMs(address, timeoutMs))).catch(() => undefined);
}

function connectMs(address: string, timeoutMs: number): Promise<number> {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[|\]$/g, "");
  return new Promise((resolve, reject) => {
    const startMs = performance.now();
    const socket = connect({ host, port: Number(address.slice(colon + 1)), timeout: timeoutMs });
    const end = (settle: () => void) => {
      socket.destroy();
      settle();
    };
    socket.once("connect", () => end(() => resolve(performance.now() - startMs)));
    socket.once("timeout", () => end(() => reject(new Error(`no answer from ${address}`))));
    socket.once("error", (error) => end(() => reject(error)));
  });
}
