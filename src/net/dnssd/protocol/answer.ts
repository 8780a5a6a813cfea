import { DNSSD } from "./limits.js";
import { sameName } from "./names.js";
import type { DnsQuestion } from "./packet.js";
import { type DnsRecord, recordKey } from "./records.js";
import type { ServiceRecords } from "./service.js";

/** Our records that answer a question; an NSEC when the name is ours but has none of that type (RFC 6762, 6.1). */
export function answersTo(question: DnsQuestion, own: ServiceRecords): readonly DnsRecord[] {
  const named = own.all.filter((record) => sameName(record.name, question.name));
  const answers = named.filter((record) => question.type === "ANY" || question.type === record.type);
  if (answers.length > 0 || named.length === 0 || !named.some((record) => record.flush)) return answers;
  const rrtypes = [...new Set(named.map((record) => record.type))];
  const name = named[0]!.name;
  return [{ name, type: "NSEC", ttlS: DNSSD.hostTtlS, flush: true, data: { nextDomain: name, rrtypes } }];
}

/** What an asker would ask next, sent along with the answers (RFC 6763, 12). */
export function additionalsFor(answers: readonly DnsRecord[], own: ServiceRecords): readonly DnsRecord[] {
  const wanted: DnsRecord[] = [];
  if (answers.includes(own.pointer)) wanted.push(own.srv, own.txt);
  if (answers.includes(own.srv) || wanted.includes(own.srv)) wanted.push(...own.addresses);
  return wanted.filter((record) => !answers.includes(record));
}

/** Whether the asker holds the record with at least half of its life left (RFC 6762, 7.1). */
export function isKnown(record: DnsRecord, known: readonly DnsRecord[]): boolean {
  const key = recordKey(record);
  return known.some((other) => other.ttlS * 2 >= record.ttlS && recordKey(other) === key);
}

/** The records as a resolver sees them that knows no multicast DNS: no flush bit, a short life (RFC 6762, 6.7). */
export function forLegacy(records: readonly DnsRecord[]): readonly DnsRecord[] {
  return records.map((record) => ({
    ...record,
    flush: false,
    ttlS: Math.min(record.ttlS, DNSSD.legacyTtlS),
  }));
}
