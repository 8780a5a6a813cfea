import { createRequire } from "node:module";
import { describe, expect, test } from "vitest";
import { DNSSD } from "../../src/discovery/limits.js";
import {
  type DnsPacket,
  fromWire,
  isCheapToDecode,
  response,
  restoreDots,
  toWire,
  type WirePacket,
} from "../../src/discovery/packet.js";
import { service } from "./spoken.js";

const dnsPacket = createRequire(createRequire(import.meta.url).resolve("multicast-dns"))("dns-packet") as {
  encode(packet: object): Buffer;
  decode(bytes: Buffer): WirePacket;
};

function encode(packet: DnsPacket): Buffer {
  const bytes = dnsPacket.encode(toWire(packet));
  restoreDots(bytes);
  return bytes;
}

function header(questions: number, answers: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt16BE(0x8400, 2);
  bytes.writeUInt16BE(questions, 4);
  bytes.writeUInt16BE(answers, 6);
  return bytes;
}

/** A record without its name. */
function record(type: number, data: Buffer): Buffer {
  const head = Buffer.from([type >> 8, type & 255, 0, 1, 0, 0, 0, 120, data.length >> 8, data.length & 255]);
  return Buffer.concat([head, data]);
}

const pointerTo = (offset: number) => Buffer.from([0xc0 | (offset >> 8), offset & 255]);

describe("what is decoded", () => {
  test("packets of services are, also of many", () => {
    expect(isCheapToDecode(encode(response({ answers: service("web", "A", "10.0.0.1") })))).toBe(true);
    const many = Array.from({ length: 46 }, (_, n) => service(`n${n}`, `I${n}`, "10.0.0.1")).flat();
    const bytes = encode(response({ answers: many }));
    expect(bytes.length).toBeGreaterThan(8_000);
    expect(isCheapToDecode(bytes)).toBe(true);
  });

  test("450 known answers in a packet of 9,000 bytes are", () => {
    const type = Buffer.from("\x08_hubcast\x04_tcp\x05local\0", "latin1");
    const label = (n: number) =>
      Buffer.concat([Buffer.from(`\x05n${String(n).padStart(4, "0")}`, "latin1"), pointerTo(12)]);
    const answers = Array.from({ length: 440 }, (_, n) =>
      Buffer.concat([n === 0 ? type : pointerTo(12), record(12, label(n))]),
    );
    const bytes = Buffer.concat([header(0, 440), ...answers]);
    expect(bytes.length).toBeLessThan(9_000);
    expect(isCheapToDecode(bytes)).toBe(true);
    expect(dnsPacket.decode(bytes).answers).toHaveLength(440);
  });

  test.each([
    [
      "names of 126 labels, named 1,200 times by pointers",
      () => {
        const long = Buffer.concat([Buffer.alloc(252, "\x01a"), Buffer.of(0)]);
        const first = Buffer.concat([long, record(12, pointerTo(12))]);
        return Buffer.concat([
          header(0, 500),
          first,
          ...Array<Buffer>(499).fill(Buffer.concat([pointerTo(12), record(12, pointerTo(12))])),
        ]);
      },
    ],
    [
      "chains of 1,500 pointers",
      () => {
        const base = 12 + 1 + 10;
        const chain = Buffer.concat(
          Array.from({ length: 1_500 }, (_, n) => pointerTo(n === 0 ? 12 : base + 2 * (n - 1))),
        );
        const last = pointerTo(base + chain.length - 2);
        return Buffer.concat([
          header(0, 301),
          Buffer.of(0),
          record(0xff01, chain),
          ...Array<Buffer>(300).fill(Buffer.concat([last, record(12, last)])),
        ]);
      },
    ],
    ["counts that no packet has room for", () => header(65_535, 65_535)],
    ["more records than are read", () => Buffer.concat([header(513, 0), Buffer.alloc(513 * 5)])],
    ["a pointer to itself", () => Buffer.concat([header(0, 1), pointerTo(12), record(12, pointerTo(12))])],
    ["a pointer forward", () => Buffer.concat([header(0, 1), pointerTo(40), record(1, Buffer.alloc(40))])],
    [
      "a record that is cut",
      () => Buffer.concat([header(0, 1), Buffer.of(0), record(1, Buffer.alloc(4)).subarray(0, 9)]),
    ],
    ["a name that is cut", () => Buffer.concat([header(1, 0), Buffer.from([5, 97])])],
    ["the mailbox of a zone", () => Buffer.concat([header(0, 1), Buffer.of(0), record(6, Buffer.alloc(22))])],
    ["nothing", () => Buffer.alloc(0)],
    ["more than 9,000 bytes", () => Buffer.concat([header(0, 0), Buffer.alloc(9_000)])],
  ])("%s: not", (_, make) => {
    expect(isCheapToDecode(make())).toBe(false);
  });

  test("a TXT record of thousands of empty strings is read as 64", () => {
    const bytes = Buffer.concat([header(0, 1), Buffer.from("\x01x\0"), record(16, Buffer.alloc(8_000))]);
    expect(isCheapToDecode(bytes)).toBe(true);
    const [txt] = fromWire(dnsPacket.decode(bytes))!.answers;
    expect(txt).toMatchObject({ type: "TXT", data: { length: DNSSD.txtEntriesMax } });
  });

  test("of a TXT record the first 1,300 bytes are read", () => {
    const entry = Buffer.concat([Buffer.of(255), Buffer.alloc(255, "x")]);
    const bytes = Buffer.concat([
      header(0, 1),
      Buffer.from("\x01x\0"),
      record(16, Buffer.concat(Array<Buffer>(30).fill(entry))),
    ]);
    const [txt] = fromWire(dnsPacket.decode(bytes))!.answers;
    expect(txt).toMatchObject({ type: "TXT", data: { length: 5 } });
  });
});

describe("a name that cannot be sent again", () => {
  const label = (text: string | Buffer) => Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);
  const name = (...labels: (string | Buffer)[]) => Buffer.concat([...labels.map(label), Buffer.of(0)]);
  /** A service at a host of this name, and a question for it. */
  const packetOf = (host: Buffer) => {
    const instance = name("web", "_hubcast", "_tcp", "local");
    const target = record(33, Buffer.concat([Buffer.alloc(6), host]));
    const question = Buffer.concat([host, Buffer.from([0, 1, 0, 1])]);
    const answers = [Buffer.concat([instance, target]), Buffer.concat([host, record(1, Buffer.alloc(4))])];
    return Buffer.concat([header(1, 2), question, ...answers]);
  };

  test.each([
    ["with a label that ends in a dot", name("a.", "b")],
    ["with a label that begins with one", name(".a", "b")],
    ["with a label of one", name(".", "local")],
    ["with a label that grows as UTF-8", name(Buffer.alloc(30, 0xff), "local")],
    ["of the root", name()],
  ])("%s is left out", (_, host) => {
    const bytes = packetOf(host);
    expect(isCheapToDecode(bytes)).toBe(true);
    expect(fromWire(dnsPacket.decode(bytes))).toMatchObject({ questions: [], answers: [] });
  });

  test("has dots put back, as far as it goes", () => {
    const bytes = dnsPacket.encode({ type: "query", questions: [{ name: "a..b", type: "A" }] });
    restoreDots(bytes);
    expect(bytes.length).toBeGreaterThan(12);
  });

  test("is none where the label of a service ends in a dot", () => {
    const bytes = encode(response({ answers: service("release 1.", "A", "10.0.0.1") }));
    expect(fromWire(dnsPacket.decode(bytes))!.answers.map(({ name }) => name)).toContain(
      "release 1.._hubcast._tcp.local",
    );
  });
});

test("an IPv6 address is read in the form in which the system gives its own", () => {
  const address = "2001:0:0:1::1";
  const record = { name: "x.local", type: "AAAA", ttlS: 120, flush: true, data: address } as const;
  expect(fromWire(dnsPacket.decode(encode(response({ answers: [record] }))))!.answers).toEqual([record]);
});

test("a name with dots is one label on the wire, in every record that names it", () => {
  const packet = response({
    questions: [{ name: "srv1.example.com._hubcast._tcp.local", type: "SRV", unicast: false }],
    answers: [
      ...service("srv1.example.com", "A", "10.0.0.1"),
      {
        name: "srv1.example.com._hubcast._tcp.local",
        type: "NSEC",
        ttlS: 120,
        flush: true,
        data: { nextDomain: "srv1.example.com._hubcast._tcp.local", rrtypes: ["SRV", "TXT"] },
      },
    ],
  });
  const bytes = encode(packet);
  const label = Buffer.from("\x10srv1.example.com\x08_hubcast\x04_tcp\x05local\0", "latin1");
  let count = 0;
  for (let at = bytes.indexOf(label); at >= 0; at = bytes.indexOf(label, at + 1)) count++;
  // The question, PTR's data, the names of SRV, TXT and NSEC, and NSEC's data.
  expect(count).toBe(6);
  const read = fromWire(dnsPacket.decode(bytes))!;
  expect(read.answers.slice(0, 4)).toEqual(packet.answers.slice(0, 4));
});

test("an address with the bytes of a stand-in for a dot is left as it is", () => {
  const bytes = encode(response({ answers: service("a.b", "A", "3.97.31.98") }));
  expect(fromWire(dnsPacket.decode(bytes))!.answers[3]).toMatchObject({ data: "3.97.31.98" });
});
