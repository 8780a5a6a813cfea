import type multicastDns from "multicast-dns";
import { DNSSD } from "./limits.js";
import type { DnsRecord } from "./records.js";

/** A DNS packet as the machines see it: only what discovery needs, already bounded. */
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
 * Reads what multicast-dns decoded.
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
    questions: packet.questions.map(({ name, type }) => ({ name, type })),
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
  return [{ name: question.name, type: String(question.type), unicast }];
}

function readRecords(records: WirePacket["answers"]): DnsRecord[] {
  return records.slice(0, DNSSD.recordsPerPacketMax).flatMap(readRecord);
}

function readRecord(record: WirePacket["answers"][number]): DnsRecord[] {
  if (!("class" in record) || record.class !== "IN") return [];
  const head = { name: record.name, ttlS: record.ttl ?? 0, flush: record.flush === true };
  switch (record.type) {
    case "PTR":
    case "A":
    case "AAAA":
      return typeof record.data === "string" ? [{ ...head, type: record.type, data: record.data }] : [];
    case "SRV":
      return [{ ...head, type: "SRV", data: { priority: 0, weight: 0, ...record.data } as SrvFields }];
    case "TXT":
      // Copied: a slice would keep the whole receive buffer alive for as long as the record is cached.
      return [{ ...head, type: "TXT", data: [record.data].flat().map((entry) => Buffer.from(entry)) }];
    default:
      return [];
  }
}

type SrvFields = { priority: number; weight: number; port: number; target: string };

function writeRecord(record: DnsRecord): object {
  const { ttlS, ...rest } = record;
  return { ...rest, ttl: ttlS, class: "IN", data: record.type === "TXT" ? [...record.data] : record.data };
}

/** An upper bound of a record's bytes on the wire (names are sent without compression). */
export function recordBytes(record: DnsRecord): number {
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
