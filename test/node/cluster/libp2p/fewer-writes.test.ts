import type { MessageStream } from "@libp2p/interface";
import { expect, test } from "vitest";
import { sendWhole, withholdUpdates } from "../../../../src/node/cluster/libp2p/fewer-writes.js";

type Message = Parameters<MessageStream["send"]>[0];

function recorder() {
  const sent: Message[] = [];
  return { sent, stream: { send: (message: Message) => sent.push(message) > 0 } };
}

/** A header of yamux: version 0, type, flags, stream, length. */
function header(type: number, flags: number, id: number, length: number): Uint8Array {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt8(type, 1);
  bytes.writeUInt16BE(flags, 2);
  bytes.writeUInt32BE(id, 4);
  bytes.writeUInt32BE(length, 8);
  return bytes;
}

test("a message of several pieces leaves as one", () => {
  const { sent, stream } = recorder();
  sendWhole(stream);
  const pieces = { byteLength: 3, subarray: () => Uint8Array.of(1, 2, 3) };
  stream.send(pieces as unknown as Message);
  stream.send(Uint8Array.of(6));
  expect(sent).toEqual([Uint8Array.of(1, 2, 3), Uint8Array.of(6)]);
});

test("updates of a window are added up to a quarter of it, for each stream", () => {
  const { sent, stream } = recorder();
  withholdUpdates(stream);
  for (let n = 0; n < 65; n++) stream.send(header(1, 0, 1, 1_000));
  stream.send(header(1, 0, 3, 65_000));
  expect(sent).toEqual([]);
  stream.send(header(1, 0, 1, 1_000));
  expect(sent).toEqual([header(1, 0, 1, 66_000)]);
  stream.send(header(1, 0, 1, 1_000));
  stream.send(header(1, 0, 3, 1_000));
  expect(sent.slice(1)).toEqual([header(1, 0, 3, 66_000)]);
});

test("nothing else is withheld: an update with a flag, data, another frame, bytes that are no frame", () => {
  const { sent, stream } = recorder();
  withholdUpdates(stream);
  const others = [
    header(1, 1, 1, 0), // opens a stream
    header(1, 4, 1, 10), // closes it
    header(0, 0, 1, 0),
    header(2, 1, 0, 7),
    header(3, 0, 0, 0),
    Uint8Array.from([1, ...header(1, 0, 1, 5).subarray(1)]),
    Uint8Array.from([...header(1, 0, 1, 5), 0]),
    header(1, 0, 1, 5).subarray(0, 11),
  ];
  for (const other of others) stream.send(other);
  expect(sent).toEqual(others);
});
