import type { ConnectionEncrypter, MessageStream } from "@libp2p/interface";

/** A frame of yamux without data. */
const HEADER_BYTES = 12;
/** Its first four bytes: version 0, type 1 (window update), no flag. */
const WINDOW_UPDATE = 0x0001_0000;
/** Smaller updates are withheld: a quarter of a window, of which the other side then has three quarters at least. */
const UPDATE_BYTES_MIN = 65_536;

/**
 * That encryption, with fewer writes of the socket: each costs the writer 50 to 200 us where a receiver sleeps, and wakes it up.
 * As made by libp2p, a frame of ours takes four to six of them, there and back.
 */
export function fewerWrites<Components>(make: (components: Components) => ConnectionEncrypter) {
  return (components: Components): ConnectionEncrypter => {
    const encrypter = make(components);
    for (const method of ["secureInbound", "secureOutbound"] as const) {
      const secure = encrypter[method].bind(encrypter);
      encrypter[method] = async (stream, options) => {
        sendWhole(stream);
        const secured = await secure(stream, options);
        withholdUpdates(secured.connection);
        return secured;
      };
    }
    return encrypter;
  };
}

/** Messages leave as one piece, not as a length, one or more pieces, and a tag. */
export function sendWhole(stream: Pick<MessageStream, "send">): void {
  const send = stream.send.bind(stream);
  stream.send = (message) => send(message.subarray());
}

/**
 * Updates of a stream's window are added up until the other side may need one. yamux makes one for each message that it has
 * read, small as it is (https://github.com/hashicorp/yamux/blob/master/spec.md).
 */
export function withholdUpdates(stream: Pick<MessageStream, "send">): void {
  const send = stream.send.bind(stream);
  /** Bytes, by stream: a connection has one or two. */
  const withheld = new Map<number, number>();
  stream.send = (message) => {
    if (message.byteLength !== HEADER_BYTES) return send(message);
    const header = Buffer.from(message.subarray());
    if (header.readUInt32BE(0) !== WINDOW_UPDATE) return send(message);
    const id = header.readUInt32BE(4);
    const bytes = header.readUInt32BE(8) + (withheld.get(id) ?? 0);
    withheld.set(id, bytes);
    if (bytes < UPDATE_BYTES_MIN) return true;
    withheld.delete(id);
    header.writeUInt32BE(bytes, 8);
    return send(header);
  };
}
