import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { HubcastError } from "../core/errors.js";
import { DNSSD } from "./limits.js";

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

/** Whether records have the same name, type and data, whatever their life: as `recordKey`, and cheap where they differ. */
export function sameRecord(a: DnsRecord, b: DnsRecord): boolean {
  return a.type === b.type && sameName(a.name, b.name) && sameData(a, b);
}

/** Whether records of one type have the same data. */
function sameData(a: DnsRecord, b: DnsRecord): boolean {
  if (typeof a.data === "string" && typeof b.data === "string") return sameName(a.data, b.data);
  return dataKey(a) === dataKey(b);
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

/** The service types of hubcast, without their domain. */
export const SERVICE_TYPES = ["_hubcast._tcp", "_hubcast-hub._tcp"] as const;
export type ServiceType = (typeof SERVICE_TYPES)[number];

/** The name under which all service types of a network are listed (RFC 6763, 9). */
export const TYPE_ENUMERATION = "_services._dns-sd._udp.local";

/** The full name of a type: `_hubcast._tcp.local`. */
export function typeName(type: ServiceType): string {
  return `${type}.local`;
}

/** The full name of an instance: `web 1._hubcast._tcp.local`. */
export function instanceName(label: string, type: ServiceType): string {
  return `${label}.${typeName(type)}`;
}

/** The label in front of a type's name, or undefined when the name is no instance of it. */
export function labelOf(name: string, type: ServiceType): string | undefined {
  const suffix = `.${typeName(type)}`;
  if (name.length <= suffix.length || !fold(name).endsWith(suffix)) return undefined;
  const label = name.slice(0, -suffix.length);
  return isPrintable(label) && Buffer.byteLength(label) <= DNSSD.labelBytesMax ? label : undefined;
}

/**
 * The host that a service's SRV points to. It holds the identity, so it is unique and never conflicts.
 * An id that is no DNS label is replaced by its hash.
 */
export function hostName(id: string): string {
  const label = /^[a-z0-9-]{1,55}$/i.test(id)
    ? id
    : createHash("sha256").update(id).digest("hex").slice(0, 32);
  return `hubcast-${label}.local`;
}

/**
 * A wished name as a DNS label: without control characters, at most 63 bytes with its suffix.
 * @param attempt 1 for the name itself, n for `name (n)`, text for `name (text)`
 */
export function instanceLabel(wish: string, attempt: number | string): string {
  const suffix = attempt === 1 ? "" : ` (${attempt})`;
  const clean = [...wish.replaceAll(CONTROL, "").trim()];
  let bytes = Buffer.byteLength(suffix);
  let label = "";
  for (const character of clean) {
    bytes += Buffer.byteLength(character);
    if (bytes > DNSSD.labelBytesMax) break;
    label += character;
  }
  return (label.trim() || "hubcast") + suffix;
}

/** The label of a service whose every other name is disputed. It holds a hash of the identity, so it is unique. */
export function identityLabel(wish: string, id: string): string {
  return instanceLabel(wish, createHash("sha256").update(id).digest("hex").slice(0, 8));
}

/** The form in which names are compared: DNS knows no case, of ASCII letters only. A packet has hundreds of names. */
export function fold(name: string): string {
  if (name.search(/[A-Z]/) < 0) return name;
  if (/^[\x00-\x7f]*$/.test(name)) return name.toLowerCase();
  let folded = "";
  for (let at = 0; at < name.length; at++) {
    const letter = name[at]!;
    folded += letter >= "A" && letter <= "Z" ? letter.toLowerCase() : letter;
  }
  return folded;
}

/** Lengths tell most names apart: folding costs 100 times as much, and a packet may compare thousands. */
export function sameName(a: string, b: string): boolean {
  return a === b || (a.length === b.length && fold(a) === fold(b));
}

/** Control characters, line separators, and those that turn the direction of text: no name needs them. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** Whether text may reach a terminal or a log. */
export function isPrintable(text: string): boolean {
  return text.search(CONTROL) < 0;
}

/**
 * The strings of a TXT record, `txtvers` first as RFC 6763 6.7 asks.
 * @throws invalidOption when a key or value cannot be written, or all of them are too large
 */
export function encodeTxt(txt: Readonly<Record<string, string>>): readonly Buffer[] {
  const keys = Object.keys(txt).sort((a, b) => Number(b === "txtvers") - Number(a === "txtvers"));
  const entries = keys.map((key) => {
    const entry = Buffer.from(`${key}=${txt[key]}`);
    if (!/^[\x20-\x3c\x3e-\x7e]+$/.test(key) || entry.length > DNSSD.txtEntryBytesMax) {
      throw new HubcastError("invalidOption", `TXT entry "${key}" does not fit a DNS-SD record`, {
        suggestions: [`Use a printable ASCII key and at most ${DNSSD.txtEntryBytesMax} bytes for key=value.`],
      });
    }
    return entry;
  });
  const bytes = entries.reduce((sum, entry) => sum + entry.length + 1, 0);
  if (bytes > DNSSD.txtBytesMax) {
    throw new HubcastError(
      "invalidOption",
      `TXT record of ${bytes} bytes, ${DNSSD.txtBytesMax} are possible`,
    );
  }
  // An empty TXT record is one empty string (RFC 6763, 6.1).
  return entries.length > 0 ? entries : [Buffer.alloc(0)];
}

/**
 * The entries of a received TXT record: keys in lower case, the first of equal keys. Entries that are no printable
 * UTF-8 or have no key are left out; only the first 64 are read.
 */
export function decodeTxt(strings: readonly Uint8Array[]): Record<string, string> {
  const entries = new Map<string, string>();
  for (const bytes of strings.slice(0, DNSSD.txtEntriesMax)) {
    const text = textOf(bytes);
    if (!isPrintable(text)) continue;
    const split = text.indexOf("=");
    const key = (split < 0 ? text : text.slice(0, split)).toLowerCase();
    if (key === "" || entries.has(key)) continue;
    entries.set(key, split < 0 ? "" : text.slice(split + 1));
  }
  return Object.fromEntries(entries);
}

function textOf(bytes: Uint8Array): string {
  return isUtf8(bytes) ? Buffer.from(bytes).toString() : "";
}
