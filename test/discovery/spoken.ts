import fc from "fast-check";
import type { DnsRecord } from "../../src/discovery/records.js";

const TYPE = "_hubcast._tcp.local";

/** Records that may fit together by chance, or be nonsense. */
export function records(): fc.Arbitrary<DnsRecord[]> {
  const label = fc.constantFrom("a", "A", "b", "é", "\u0000", "");
  const name = fc.oneof(
    label.map((text) => `${text}.${TYPE}`),
    fc.constantFrom(TYPE, TYPE.toUpperCase(), "hubcast-x.local", "hubcast-y.local", "", "."),
  );
  const head = { name, ttlS: fc.constantFrom(0, 1, 120, 4_500, 4_294_967_295), flush: fc.boolean() };
  const port = fc.constantFrom(0, 1, 65_535);
  const srv = fc.record({ priority: port, weight: port, port, target: name });
  return fc.array(
    fc.oneof(
      fc.record({ ...head, type: fc.constant("PTR" as const), data: name }),
      fc.record({
        ...head,
        type: fc.constantFrom("A" as const, "AAAA" as const),
        data: fc.constantFrom("1.2.3.4", "x"),
      }),
      fc.record({ ...head, type: fc.constant("SRV" as const), data: srv }),
      fc.record({
        ...head,
        type: fc.constant("TXT" as const),
        data: fc.array(
          fc
            .oneof(fc.constantFrom("id=1", "id=2", "=x", "__proto__=1"), fc.string())
            .map((text) => Buffer.from(text)),
        ),
      }),
    ),
    { maxLength: 12 },
  );
}

export function ptr(label: string, ttlS = 4_500): DnsRecord {
  return { name: TYPE, type: "PTR", ttlS, flush: false, data: `${label}.${TYPE}` };
}

/** PTR, SRV, TXT and A of a service. */
export function service(label: string, id: string, address: string): readonly DnsRecord[] {
  const name = `${label}.${TYPE}`;
  const target = `hubcast-${id}.local`;
  return [
    ptr(label),
    { name, type: "SRV", ttlS: 120, flush: true, data: { priority: 0, weight: 0, port: 4_000, target } },
    { name, type: "TXT", ttlS: 4_500, flush: true, data: [Buffer.from(`id=${id}`)] },
    { name: target, type: "A", ttlS: 120, flush: true, data: address },
  ];
}

export function srv(label: string, id: string, ttlS: number, port = 1): DnsRecord {
  const data = { priority: 0, weight: 0, port, target: `hubcast-${id}.local` };
  return { name: `${label}.${TYPE}`, type: "SRV", ttlS, flush: true, data };
}
