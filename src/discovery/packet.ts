import type multicastDns from "multicast-dns";
import { DNSSD } from "./limits.js";
import { type DnsRecord, labelOf, SERVICE_TYPES } from "./records.js";

/** A DNS packet as the machines see it: only the parts that discovery needs, already bounded. */
export interface DnsPacket {
  readonly kind: "query" | "response";
  /** 0, but for answers to a resolver that knows no multicast DNS. */
  readonly id: number;
  /** More known answers follow in another packet (RFC 6762, 7.2). */
  readonly truncated: boolean;
  readonly questions: readonly DnsQuestion[];
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
}

export interface DnsQuestion {
  readonly name: string;
  /** `PTR`, `SRV`, ... or `ANY`. */
  readonly type: string;
  /** The asker would take the answer directly (the QU bit). */
  readonly unicast: boolean;
}

/** The shape that multicast-dns hands out. */
export type WirePacket = {
  [Part in keyof multicastDns.FullPacket]: NonNullable<multicastDns.FullPacket[Part]>;
};
/** The shape that multicast-dns takes. */
export type WirePacketOut = multicastDns.QueryOutgoingPacket & multicastDns.ResponseOutgoingPacket;

const EMPTY: DnsPacket = {
  kind: "query",
  id: 0,
  truncated: false,
  questions: [],
  answers: [],
  authorities: [],
  additionals: [],
};

export function query(parts: Partial<DnsPacket>): DnsPacket {
  return { ...EMPTY, ...parts, kind: "query" };
}

export function response(parts: Partial<DnsPacket>): DnsPacket {
  return { ...EMPTY, ...parts, kind: "response" };
}

/**
 * Whether the cost of decoding a packet is in proportion to its size. dns-packet itself bounds neither how often a
 * compression pointer is followed nor the arrays it makes for the counts in the header.
 */
export function isCheapToDecode(message: Buffer): boolean {
  if (message.length < HEADER_BYTES || message.length > DNSSD.receivedBytesMax) return false;
  let steps = 0;
  return visitNames(message, (offset) => {
    let at = offset;
    for (;;) {
      const length = message[at];
      if (length === undefined || ++steps > DNSSD.nameStepsMax) return false;
      if (length === 0) return true;
      if (length < 64) at += 1 + length;
      else if (length < 192 || at + 1 >= message.length) return false;
      else {
        const target = message.readUInt16BE(at) & 0x3fff;
        // RFC 1035, 4.1.4: to a prior occurrence. It also ends every chain.
        if (target >= at) return false;
        at = target;
      }
    }
  });
}

/** Stands for a dot inside of a label while a packet is encoded: dns-packet splits names at dots and knows no escapes. */
const DOT_IN_LABEL = "\u001f";

/** Puts the dots back into the labels of a packet that `toWire` and dns-packet made. Changes the packet. */
export function restoreDots(message: Buffer): void {
  visitNames(message, (offset) => {
    for (let at = offset; at < message.length && message[at] !== 0; ) {
      const end = at + 1 + message[at]!;
      for (at++; at < end; at++) if (message[at] === DOT_IN_LABEL.charCodeAt(0)) message[at] = 0x2e;
    }
    return true;
  });
}

const HEADER_BYTES = 12;
/** Record types whose data begins with a name, after so many bytes: NS, CNAME, PTR, SRV, DNAME, NSEC. */
const NAME_IN_DATA: ReadonlyMap<number, number> = new Map([
  [2, 0],
  [5, 0],
  [12, 0],
  [33, 6],
  [39, 0],
  [47, 0],
]);
/** SOA, MX, RP, RRSIG, NAPTR: dns-packet reads names in them too, and multicast DNS has no use for them. */
const NEVER_MULTICAST = new Set([6, 15, 17, 46, 35]);

/** Visits each name of a packet by its offset. @returns false when a visit said so, or the packet is cut or unusual */
function visitNames(message: Buffer, visit: (offset: number) => boolean): boolean {
  const questions = message.readUInt16BE(4);
  const records = message.readUInt16BE(6) + message.readUInt16BE(8) + message.readUInt16BE(10);
  if (questions + records > DNSSD.recordsPerPacketMax) return false;
  let at = HEADER_BYTES;
  for (let index = 0; index < questions + records; index++) {
    if (!visit(at)) return false;
    at = endOfName(message, at);
    if (index < questions) {
      at += 4;
      continue;
    }
    if (at + 10 > message.length) return false;
    const type = message.readUInt16BE(at);
    const dataAt = at + 10;
    if (NEVER_MULTICAST.has(type)) return false;
    const nameAt = NAME_IN_DATA.get(type);
    if (nameAt !== undefined && !visit(dataAt + nameAt)) return false;
    at = dataAt + message.readUInt16BE(at + 8);
  }
  return at <= message.length;
}

/** The end of a visited name: behind its zero byte or its pointer. */
function endOfName(message: Buffer, offset: number): number {
  let at = offset;
  for (;;) {
    const length = message[at] ?? 0;
    if (length === 0) return at + 1;
    if (length >= 192) return at + 2;
    at += 1 + length;
  }
}

/**
 * Converts a packet that multicast-dns decoded.
 * @returns undefined for packets that RFC 6762 18.3 and 18.11 tell us to ignore
 */
export function fromWire(packet: WirePacket): DnsPacket | undefined {
  const header = packet as WirePacket & { opcode?: string; rcode?: string; flag_tc?: boolean };
  if (header.opcode !== "QUERY" || header.rcode !== "NOERROR") return undefined;
  return {
    kind: packet.type === "response" ? "response" : "query",
    id: packet.id ?? 0,
    truncated: header.flag_tc === true,
    questions: packet.questions.slice(0, DNSSD.questionsPerPacketMax).flatMap(readQuestion),
    answers: readRecords(packet.answers),
    authorities: readRecords(packet.authorities),
    additionals: readRecords(packet.additionals),
  };
}

/** The shape in which multicast-dns sends a packet. Its encoder writes into TXT arrays, so they are copied. */
export function toWire(packet: DnsPacket): WirePacketOut {
  const wire = {
    type: packet.kind,
    id: packet.id,
    // Authoritative (18.4), truncated (18.5).
    flags: (packet.kind === "response" ? 1 << 10 : 0) | (packet.truncated ? 1 << 9 : 0),
    questions: packet.questions.map(({ name, type }) => ({ name: wireName(name), type })),
    answers: packet.answers.map(writeRecord),
    authorities: packet.authorities.map(writeRecord),
    additionals: packet.additionals.map(writeRecord),
  };
  return wire as unknown as WirePacketOut;
}

function readQuestion(question: WirePacket["questions"][number]): DnsQuestion[] {
  // dns-packet does not take the QU bit off the class: IN is 1, ANY 255, and the bit 32768.
  const unicast = /^UNKNOWN_(32769|33023)$/.test(String(question.class));
  if (!unicast && question.class !== "IN" && question.class !== "ANY") return [];
  if (!isSendable(question.name)) return [];
  return [{ name: question.name, type: String(question.type), unicast }];
}

function readRecords(records: WirePacket["answers"]): DnsRecord[] {
  return records.slice(0, DNSSD.recordsPerPacketMax).flatMap(readRecord);
}

function readRecord(record: WirePacket["answers"][number]): DnsRecord[] {
  if (!("class" in record) || record.class !== "IN" || !isSendable(record.name)) return [];
  const head = { name: record.name, ttlS: record.ttl ?? 0, flush: record.flush === true };
  switch (record.type) {
    case "PTR":
      return isSendable(record.data) ? [{ ...head, type: "PTR", data: record.data }] : [];
    case "A":
      return typeof record.data === "string" ? [{ ...head, type: "A", data: record.data }] : [];
    case "AAAA": {
      if (typeof record.data !== "string") return [];
      // dns-packet does not shorten the longest run of zeros, as the system does for our own addresses.
      const { hostname } = new URL(`http://[${record.data}]`);
      return [{ ...head, type: "AAAA", data: hostname.slice(1, -1) }];
    }
    case "SRV":
      if (!isSendable(record.data?.target)) return [];
      return [{ ...head, type: "SRV", data: { priority: 0, weight: 0, ...record.data } as SrvFields }];
    case "TXT":
      return [{ ...head, type: "TXT", data: readTxt([record.data].flat()) }];
    default:
      return [];
  }
}

type SrvFields = { priority: number; weight: number; port: number; target: string };

/** Copied: a slice would keep the whole receive buffer alive for as long as the record is cached. */
function readTxt(entries: readonly (string | Buffer)[]): Buffer[] {
  const read: Buffer[] = [];
  let bytes = 0;
  for (const entry of entries.slice(0, DNSSD.txtEntriesMax)) {
    bytes += entry.length + 1;
    if (bytes > DNSSD.txtReadBytesMax) break;
    read.push(Buffer.from(entry as Buffer));
  }
  return read;
}

function writeRecord({ ttlS, ...record }: DnsRecord): object {
  return { ...record, name: wireName(record.name), ttl: ttlS, class: "IN", data: writeData(record) };
}

function writeData(record: Omit<DnsRecord, "ttlS">): unknown {
  const { type, data } = record as DnsRecord;
  switch (type) {
    case "TXT":
      return [...data];
    case "PTR":
      return wireName(data);
    case "NSEC":
      return { ...data, nextDomain: wireName(data.nextDomain) };
    default:
      // An SRV's target is our host: it has no dot in a label.
      return data;
  }
}

/**
 * Whether a received name can be sent: asked for, or given back to a resolver. dns-packet reads a dot inside of a label like
 * one between labels, so a label that ends in a dot leaves an empty one, which would end the name in its middle.
 */
function isSendable(name: unknown): name is string {
  if (typeof name !== "string") return false;
  const labels = wireName(name).split(".");
  return labels.every((label) => label !== "" && Buffer.byteLength(label) <= DNSSD.labelBytesMax);
}

function wireName(name: string): string {
  const label = SERVICE_TYPES.map((type) => labelOf(name, type)).find((found) => found !== undefined);
  if (!label?.includes(".")) return name;
  return label.replaceAll(".", DOT_IN_LABEL) + name.slice(label.length);
}

/** An upper bound of a record's bytes on the wire (names are sent without compression). */
function recordBytes(record: DnsRecord): number {
  const head = Buffer.byteLength(record.name) + 2 + 10;
  switch (record.type) {
    case "A":
      return head + 4;
    case "AAAA":
      return head + 16;
    case "PTR":
      return head + Buffer.byteLength(record.data) + 2;
    case "SRV":
      return head + 6 + Buffer.byteLength(record.data.target) + 2;
    case "TXT":
      return head + record.data.reduce((sum, entry) => sum + entry.length + 1, 0);
    case "NSEC":
      return head + Buffer.byteLength(record.data.nextDomain) + 2 + 34;
  }
}

/**
 * Packs questions and the known answers to them. Known answers that do not fit follow in further packets, all
 * but the last marked as truncated (RFC 6762, 7.2), up to a bound: the rest is just answered once more.
 */
export function questionPackets(
  questions: readonly DnsQuestion[],
  known: readonly DnsRecord[],
): readonly DnsPacket[] {
  const chunks: DnsQuestion[][] = [];
  for (let start = 0; start < questions.length; start += DNSSD.questionsPerPacketMax) {
    chunks.push(questions.slice(start, start + DNSSD.questionsPerPacketMax));
  }
  const last = chunks.pop();
  if (!last) return [];
  const pages = packRecords(known, last.length * 300).slice(0, DNSSD.knownAnswerPacketsMax);
  const packets = chunks.map((chunk) => query({ questions: chunk }));
  if (pages.length === 0) return [...packets, query({ questions: last })];
  const carriers = pages.map((answers, index) =>
    query({ questions: index === 0 ? last : [], answers, truncated: index < pages.length - 1 }),
  );
  return [...packets, ...carriers];
}

function packRecords(records: readonly DnsRecord[], firstPageUsed: number): DnsRecord[][] {
  const pages: DnsRecord[][] = [];
  let used = Math.min(firstPageUsed, DNSSD.packetBytesMax / 2);
  for (const record of records) {
    const bytes = recordBytes(record);
    if (pages.length === 0) pages.push([]);
    if (used + bytes > DNSSD.packetBytesMax) {
      pages.push([]);
      used = 0;
    }
    pages.at(-1)!.push(record);
    used += bytes;
  }
  return pages;
}
