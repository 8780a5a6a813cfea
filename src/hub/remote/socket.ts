import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { HubAddress } from "./address.js";
import type { HubTls } from "./options.js";

/**
 * Dials a hub, over TCP or TLS.
 * @param buffer all reads go there, one after the other; TLS sockets bring their own
 * @param received what came, valid during the call. @returns false to be read no further until `resume`
 */
export function openSocket(
  address: HubAddress,
  tls: HubTls | undefined,
  buffer: Buffer,
  received: (bytes: Buffer) => boolean,
): Socket {
  if (tls === undefined) {
    const callback = (bytes: number): boolean => received(buffer.subarray(0, bytes));
    return connect({ ...address, noDelay: true, onread: { buffer, callback } });
  }
  const socket = connectTls({
    ...(isIP(address.host) === 0 && { servername: address.host }),
    ...address,
    ...(tls === true ? {} : tls),
  });
  socket.setNoDelay(true);
  socket.on("data", (chunk: Buffer) => {
    if (!received(chunk)) socket.pause();
  });
  return socket;
}
