import { sameName } from "./names.js";
import { compareRecordSets, type DnsRecord, type SrvRecord, type TxtRecord } from "./records.js";
import type { ServiceRecords } from "./service.js";
import { decodeTxt } from "./txt.js";

/**
 * Whether somebody else claims our instance's name with these records. The same identity is never a rival: it
 * is ourselves, echoed by loopback, heard on another interface of the same network, or from before a restart.
 * Goodbyes claim nothing.
 */
export function hasRival(records: readonly DnsRecord[], own: ServiceRecords, id: string): boolean {
  const living = claims(records, own).filter((record) => record.ttlS > 0);
  return living.length > 0 && !living.some((record) => isOurs(record, own, id));
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

function isOurs(record: SrvRecord | TxtRecord, own: ServiceRecords, id: string): boolean {
  if (record.type === "SRV") return sameName(record.data.target, own.srv.data.target);
  return decodeTxt(record.data).id === id;
}
