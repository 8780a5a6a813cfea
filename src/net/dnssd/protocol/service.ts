import { DNSSD } from "./limits.js";
import { hostName, instanceName, type ServiceType, TYPE_ENUMERATION, typeName } from "./names.js";
import type { DnsRecord, SrvRecord, TxtRecord } from "./records.js";

/** What is advertised, without its name (which a conflict may change) and what differs per interface. */
export interface ServiceIdentity {
  readonly type: ServiceType;
  readonly id: string;
  readonly port: number;
}

/** The records of one service on one interface. */
export interface ServiceRecords {
  /** `_services._dns-sd._udp.local` PTR to the type: shared by all services of the type. */
  readonly enumeration: DnsRecord;
  /** Type PTR to the instance: shared by name, ours by data. */
  readonly pointer: DnsRecord;
  readonly srv: SrvRecord;
  readonly txt: TxtRecord;
  /** A and AAAA of the host, only addresses of this interface. */
  readonly addresses: readonly DnsRecord[];
  /** All of the above, in the order they are announced. */
  readonly all: readonly DnsRecord[];
}

/**
 * Builds the records of a service as one interface shows them.
 * @param label the name of the instance, one DNS label
 * @param txt encoded entries
 * @param addresses IPv4 and IPv6 addresses of the interface
 */
export function buildRecords(
  service: ServiceIdentity,
  label: string,
  txt: readonly Buffer[],
  addresses: readonly string[],
): ServiceRecords {
  const instance = instanceName(label, service.type);
  const host = hostName(service.id);
  const shared = { ttlS: DNSSD.otherTtlS, flush: false };
  const enumeration: DnsRecord = {
    name: TYPE_ENUMERATION,
    type: "PTR",
    ...shared,
    data: typeName(service.type),
  };
  const pointer: DnsRecord = { name: typeName(service.type), type: "PTR", ...shared, data: instance };
  const srv: SrvRecord = {
    name: instance,
    type: "SRV",
    ttlS: DNSSD.hostTtlS,
    flush: true,
    data: { priority: 0, weight: 0, port: service.port, target: host },
  };
  const text: TxtRecord = { name: instance, type: "TXT", ttlS: DNSSD.otherTtlS, flush: true, data: txt };
  const hosts = addresses.map((address): DnsRecord => {
    const type = address.includes(":") ? "AAAA" : "A";
    return { name: host, type, ttlS: DNSSD.hostTtlS, flush: true, data: address };
  });
  return {
    enumeration,
    pointer,
    srv,
    txt: text,
    addresses: hosts,
    all: [enumeration, pointer, srv, text, ...hosts],
  };
}
