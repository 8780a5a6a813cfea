import type { Client } from "./client.js";
import type { ChaosRole } from "./protocol/role.js";

/** A slow reader takes what one read gives (128 KiB), then rests: 2.6 MB/s at most. */
const SLOW_READ_REST_MS = 50;
const KILL_INTERVAL_MS = 100;

/**
 * Makes a client that has been well-behaved so far play its role, as long as `signal` lasts.
 * @param reopen dials the hub again, for those that cut their own connection
 */
export function misbehave(client: Client, role: ChaosRole, reopen: () => Client, signal: AbortSignal): void {
  switch (role) {
    case "slowReader":
      client.stopsReading = true;
      repeat(SLOW_READ_REST_MS, () => client.socket.resume(), signal);
      break;
    case "staller":
      client.stopsReading = true;
      client.socket.pause();
      break;
    case "halfOpen":
      // Says that it is done, and leaves what comes where it is.
      client.stopsReading = true;
      client.socket.pause();
      client.socket.end();
      break;
    case "midFrameKiller": {
      let current = client;
      const kill = (): void => {
        cutMidFrame(current);
        current = reopen();
      };
      kill();
      repeat(KILL_INTERVAL_MS, kill, signal);
    }
  }
}

/** The head of a relay of 100,000 bytes, a few of them, and a reset. */
function cutMidFrame(client: Client): void {
  const frame = Buffer.alloc(1_000, "x");
  frame.writeUInt32BE(100_000, 0);
  frame[4] = 3;
  frame[5] = 0;
  client.socket.write(frame, () => client.cut());
}

function repeat(intervalMs: number, work: () => void, signal: AbortSignal): void {
  const timer = setInterval(work, intervalMs);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}
