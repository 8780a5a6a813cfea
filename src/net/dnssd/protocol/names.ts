import { createHash } from "node:crypto";
import { DNSSD } from "./limits.js";

/** The service types of hubcast, without their domain. */
export type ServiceType = "_hubcast._tcp" | "_hubcast-hub._tcp";

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
  return hasControl(label) ? undefined : label;
}

/**
 * The host that a service's SRV points to. It holds the identity, so it is nobody else's and never conflicts.
 * An id that is no DNS label is replaced by its hash.
 */
export function hostName(id: string): string {
  const label = /^[a-z0-9-]{1,55}$/i.test(id)
    ? id
    : createHash("sha256").update(id).digest("hex").slice(0, 32);
  return `hubcast-${label}.local`;
}

/**
 * What a wished name becomes as a DNS label: no control characters, dots as hyphens (the packet encoder
 * knows no escapes), at most 63 bytes with its suffix.
 * @param attempt 1 for the name itself, n for `name (n)`
 */
export function instanceLabel(wish: string, attempt: number): string {
  const suffix = attempt > 1 ? ` (${attempt})` : "";
  const clean = [
    ...wish
      .replaceAll(/[\u0000-\u001f\u007f]/g, "")
      .replaceAll(".", "-")
      .trim(),
  ];
  let bytes = Buffer.byteLength(suffix);
  let label = "";
  for (const character of clean) {
    bytes += Buffer.byteLength(character);
    if (bytes > DNSSD.labelBytesMax) break;
    label += character;
  }
  return (label.trim() || "hubcast") + suffix;
}

/** The form in which names are compared: DNS knows no case, of ASCII letters only. */
export function fold(name: string): string {
  return name.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

export function sameName(a: string, b: string): boolean {
  return a === b || fold(a) === fold(b);
}

/** Whether text holds a character that must not reach a terminal or a log. */
export function hasControl(text: string): boolean {
  return /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(text);
}
