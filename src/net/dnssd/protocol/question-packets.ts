import { DNSSD } from "./limits.js";
import { type DnsPacket, type DnsQuestion, query, recordBytes } from "./packet.js";
import type { DnsRecord } from "./records.js";

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
