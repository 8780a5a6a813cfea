import { fold, sameName } from "./names.js";
import { compareRecordSets, type DnsRecord, type SrvRecord, type TxtRecord } from "./records.js";
import type { ServiceRecords } from "./service.js";
import { decodeTxt } from "./txt.js";

/**
 * Who else claims our instance's name with these records. The same identity is never a rival: it is ourselves,
 * echoed by loopback, heard on another interface of the same network, or from before a restart. Goodbyes claim
 * nothing.
 * @returns a key of the rival's identity, or undefined
 */
export function rivalIn(records: readonly DnsRecord[], own: ServiceRecords, id: string): string | undefined {
  let rival: string | undefined;
  for (const record of claims(records, own)) {
    if (record.ttlS === 0) continue;
    const identity = record.type === "SRV" ? fold(record.data.target) : decodeTxt(record.data).id;
    if (record.type === "SRV" ? identity === fold(own.srv.data.target) : identity === id) return undefined;
    if (record.type === "SRV" || rival === undefined) rival = identity ?? "";
  }
  return rival;
}

/** Whether we lose the simultaneous probe against these proposed records (RFC 6762, 8.2). */
export function losesAgainst(proposed: readonly DnsRecord[], own: ServiceRecords): boolean {
  return compareRecordSets([own.srv, own.txt], claims(proposed, own)) < 0;
}

/** The records that only the owner of our instance's name may have. */
function claims(records: readonly DnsRecord[], own: ServiceRecords): readonly (SrvRecord | TxtRecord)[] {
  return records
    .filter((record) => record.type === "SRV" || record.type === "TXT")
    .filter((record) => sameName(record.name, own.srv.name));
}
