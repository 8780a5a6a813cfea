import type { MessageWriter } from "./message-writer.js";
import type { Section } from "./section.js";

/**
 * Answers a fingerprint that differs with those of the parts of our section, until the message is full.
 * @param section of 4 items or more: so every part has one, and is smaller than the whole
 */
export function split(section: Section, writer: MessageWriter): void {
  for (const part of section.cut(partsOf(section.count))) {
    writer.fingerprint(part.to, part.fingerprint);
    if (writer.isFull) return;
  }
}

/**
 * Into how many parts to cut; the specification leaves it open. Finding one difference costs parts / log(parts), least
 * for 3 and 4, so that is best once a range has but one. Above that size ranges are few and the wider cut saves
 * round trips (bench/reconcile.ts; docs/protocol.md says what else was tried).
 */
function partsOf(count: number): number {
  if (count >= 65_536) return 64;
  if (count >= 4096) return 8;
  return 4;
}
