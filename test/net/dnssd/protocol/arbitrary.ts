import fc from "fast-check";
import type { DnsRecord } from "../../../../src/net/dnssd/protocol/records.js";

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
