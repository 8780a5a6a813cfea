import { setTimeout as pause } from "node:timers/promises";
import type { Connection } from "@libp2p/interface";
import { type PeerAddress, resolveHost, toMultiaddr } from "./address.js";
import { type ReachOptions, SelfDialled } from "./dialer.js";
import type { Host } from "./host.js";

/** A SYN and one more; who answers later is found by the next attempt. */
const CONNECT_MS_MAX = 2_500;

/**
 * Connects to the first address that answers. libp2p itself dials the addresses of a peer one after the other,
 * so a dead one in front delays by its whole timeout. Here all TCP connections are begun at once; the encryption
 * handshake, which costs both sides milliseconds of CPU, is made on one of them at a time, first come first served.
 * @throws SelfDialled, or what went wrong at the last address
 */
export async function reach(
  host: Host,
  addresses: readonly PeerAddress[],
  { expectedId, courtesyMs, signal }: ReachOptions,
): Promise<Connection> {
  const done = new AbortController();
  const over = AbortSignal.any([signal, done.signal]);
  const turns = new Turns();
  let courtesy: Promise<void> | undefined;
  const dialIp = async (ip: string, address: PeerAddress): Promise<Connection> => {
    const turn = turns.newTurn();
    // The socket listens to its signal for as long as it lives, so the winner's must not be that of the race.
    const attempt = new AbortController();
    const stop = () => attempt.abort(new Error("another address was faster, or time is up"));
    over.addEventListener("abort", stop, { once: true });
    const late = setTimeout(stop, CONNECT_MS_MAX);
    try {
      const connection = await host.connect(toMultiaddr(ip, address.port), attempt.signal, async () => {
        clearTimeout(late);
        await turn.begin();
        courtesy ??= pause(courtesyMs, undefined, { signal: over });
        await courtesy;
      });
      if (expectedId !== undefined && connection.remotePeer.toString() !== expectedId) {
        connection.abort(new Error("another peer answers at this address"));
        throw new Error(`${connection.remotePeer} answers at ${address.host}:${address.port}`);
      }
      over.removeEventListener("abort", stop);
      done.abort();
      return connection;
    } catch (error) {
      throw (error as Error).name === "InvalidPeerIdError" ? new SelfDialled(address) : error;
    } finally {
      clearTimeout(late);
      over.removeEventListener("abort", stop);
      turn.end();
    }
  };
  const dial = async (address: PeerAddress): Promise<Connection> => {
    const ips = await resolveHost(address.host);
    over.throwIfAborted();
    return Promise.any(ips.map((ip) => dialIp(ip, address)));
  };
  try {
    return await Promise.any(addresses.map(dial));
  } catch (error) {
    const errors = (error as AggregateError).errors.flatMap((one) =>
      one instanceof AggregateError ? one.errors : one,
    );
    throw errors.find((one) => one instanceof SelfDialled) ?? errors.at(-1) ?? error;
  } finally {
    done.abort();
  }
}

/** A mutex: turns begin one at a time, in the order in which they ask. */
class Turns {
  #last: Promise<void> = Promise.resolve();

  newTurn(): { begin(): Promise<void>; end(): void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    return {
      begin: () => {
        const before = this.#last;
        this.#last = promise;
        return before;
      },
      end: resolve,
    };
  }
}
