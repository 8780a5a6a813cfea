import { fold } from "./names.js";

interface RecordHead {
  readonly name: string;
  readonly ttlS: number;
  /** Cache-flush bit: this is the whole set of its name and type, older ones are void (RFC 6762, 10.2). */
  readonly flush: boolean;
}

export interface SrvRecord extends RecordHead {
  readonly type: "SRV";
  readonly data: {
    readonly priority: number;
    readonly weight: number;
    readonly port: number;
    readonly target: string;
  };
}

export interface TxtRecord extends RecordHead {
  readonly type: "TXT";
  readonly data: readonly Buffer[];
}

/** The records that discovery speaks of; all others are dropped where a packet comes in. */
export type DnsRecord =
  | SrvRecord
  | TxtRecord
  | (RecordHead & { readonly type: "PTR" | "A" | "AAAA"; readonly data: string })
  | (RecordHead & {
      readonly type: "NSEC";
      readonly data: { readonly nextDomain: string; readonly rrtypes: readonly string[] };
    });

/** Equal for records of the same name, type and data, whatever their life. */
export function recordKey(record: DnsRecord): string {
  return `${setKey(record.type, record.name)} ${dataKey(record)}`;
}

/** Equal for records of the same name and type. */
export function setKey(type: string, name: string): string {
  return `${type} ${fold(name)}`;
}

function dataKey(record: DnsRecord): string {
  switch (record.type) {
    case "PTR":
    case "A":
    case "AAAA":
      return fold(record.data);
    case "SRV":
      return `${record.data.priority} ${record.data.weight} ${record.data.port} ${fold(record.data.target)}`;
    case "TXT":
      return record.data.map((entry) => entry.toString("hex")).join(" ");
    case "NSEC":
      return record.data.rrtypes.join(" ");
  }
}

/**
 * Which of two sets of SRV and TXT records of one name is lexicographically later and so wins a simultaneous
 * probe: by type, then by raw data, pair after pair; what runs out first loses (RFC 6762, 8.2).
 * @returns negative when `a` loses, positive when it wins, 0 when both are the same
 */
export function compareRecordSets(a: readonly DnsRecord[], b: readonly DnsRecord[]): number {
  const ours = a.map(rawRecord).sort(Buffer.compare);
  const theirs = b.map(rawRecord).sort(Buffer.compare);
  for (let index = 0; index < Math.min(ours.length, theirs.length); index++) {
    const order = Buffer.compare(ours[index]!, theirs[index]!);
    if (order !== 0) return order;
  }
  return ours.length - theirs.length;
}

/** Type, then data as on the wire without name compression. */
function rawRecord(record: DnsRecord): Buffer {
  if (record.type === "TXT") {
    return Buffer.concat([u16(16), ...record.data.flatMap((entry) => [Buffer.of(entry.length), entry])]);
  }
  if (record.type === "SRV") {
    const { priority, weight, port, target } = record.data;
    return Buffer.concat([u16(33), u16(priority), u16(weight), u16(port), rawName(target)]);
  }
  return Buffer.from(record.type);
}

function rawName(name: string): Buffer {
  const labels = name.split(".").map((label) => Buffer.from(label));
  return Buffer.concat([...labels.flatMap((label) => [Buffer.of(label.length & 63), label]), Buffer.of(0)]);
}

function u16(value: number): Buffer {
  return Buffer.of((value >> 8) & 255, value & 255);
}
