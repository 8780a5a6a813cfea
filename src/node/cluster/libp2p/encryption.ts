import type { Writable } from "node:stream";
import type { ConnectionEncrypter, MessageStream } from "@libp2p/interface";
import { type NoiseComponents, noise } from "@libp2p/noise";
import type { Uint8ArrayList } from "uint8arraylist";
import { open, type Pieces, seal } from "./record-cipher.js";

/** From here on Node's cipher is faster than the one in WebAssembly that noise takes for short records. */
const NODE_CIPHER_BYTES_MIN = 512;

/** What leaves as so many bytes or fewer is copied into one piece... */
const JOIN_BYTES_MAX = 131_072;
/** ... unless it is more than that and the system takes pieces as they are: memory for copies has to be collected. */
const GATHER_BYTES_MIN = 16_384;

/** What stands in front of a record. */
const LENGTH_BYTES = 2;

type Cipher = (
  bytes: Pieces,
  nonce: Uint8Array,
  ad: Uint8Array,
  key: Uint8Array,
  into?: Uint8Array,
) => Pieces;

/** What noise has beyond its public type: its cipher... */
interface Noise extends ConnectionEncrypter {
  readonly crypto?: { encrypt: Cipher; decrypt: Cipher };
}

/** ... the reader of a secured connection, which says by an exception that a length is not there yet... */
interface Secured extends MessageStream {
  readonly decoder?: { lengthDecoder(bytes: Pieces): number };
}

/** ... and, of each stream of bytes below it, what hands them down, and the socket where that is the next. */
interface Sender extends MessageStream {
  readonly socket?: Pick<Writable, "cork" | "uncork">;
  sendData?(pieces: Uint8ArrayList): unknown;
}

/**
 * Noise, unchanged on the wire, at a third of the cost for the records of a few kilobytes that gossip consists of
 * (bench/signed.ts): key objects are made once for each connection, a record is written by one system call rather than
 * by one for each of its parts, and the end of what has arrived is no error with a stack trace. Where another version of
 * noise looks different inside, it runs as it is.
 */
export function encryption(): (components: NoiseComponents) => ConnectionEncrypter {
  return (components) => {
    const encrypter = noise()(components) as Noise;
    if (encrypter.crypto) takeNodeCipher(encrypter.crypto);
    const own: Pick<ConnectionEncrypter, "secureInbound" | "secureOutbound"> = {
      secureInbound: async (connection, options) => {
        const secured = await encrypter.secureInbound(writeAtOnce(connection), options);
        return { ...secured, connection: readCheaply(secured.connection) };
      },
      secureOutbound: async (connection, options) => {
        const secured = await encrypter.secureOutbound(writeAtOnce(connection), options);
        return { ...secured, connection: readCheaply(secured.connection) };
      },
    };
    return Object.assign(Object.create(encrypter) as ConnectionEncrypter, own);
  };
}

function takeNodeCipher(crypto: NonNullable<Noise["crypto"]>): void {
  const { encrypt, decrypt } = crypto;
  crypto.encrypt = (plaintext, nonce, ad, key) =>
    (plaintext.byteLength < NODE_CIPHER_BYTES_MIN ? encrypt : seal)(plaintext, nonce, ad, key);
  crypto.decrypt = (sealed, nonce, ad, key, into) =>
    sealed.byteLength < NODE_CIPHER_BYTES_MIN
      ? decrypt(sealed, nonce, ad, key, into)
      : open(sealed, nonce, ad, key);
}

/** A socket writes each piece by a system call of its own, and each wakes the other side: unless they are one, or gathered. */
function writeAtOnce(connection: MessageStream): MessageStream {
  const sender = connection as Sender;
  const sendData = sender.sendData?.bind(sender);
  if (!sendData) return connection;
  const { socket } = sender;
  sender.sendData = (pieces) => {
    if (socket && pieces.byteLength >= GATHER_BYTES_MIN) {
      socket.cork();
      try {
        return sendData(pieces);
      } finally {
        socket.uncork();
      }
    }
    if (pieces.byteLength <= JOIN_BYTES_MAX) {
      const whole = pieces.subarray();
      pieces.consume(whole.length);
      pieces.append(whole);
    }
    return sendData(pieces);
  };
  return connection;
}

const NOT_YET = new RangeError("the length is not there yet");

/** The reader takes records until a length cannot be read, and an error made each time costs its stack trace. */
function readCheaply(connection: MessageStream): MessageStream {
  const { decoder } = connection as Secured;
  if (!decoder?.lengthDecoder) return connection;
  const { lengthDecoder } = decoder;
  decoder.lengthDecoder = (bytes) => {
    if (bytes.byteLength < LENGTH_BYTES) throw NOT_YET;
    return lengthDecoder(bytes);
  };
  return connection;
}
