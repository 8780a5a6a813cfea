import type { HubcastError } from "../../core/errors.js";
import type { ServiceType } from "./protocol/names.js";
import type { DiscoveredService } from "./protocol/service-table.js";

export { openDnsSd } from "./dnssd.js";
export type { DiscoveredService } from "./protocol/service-table.js";

export interface DnsSdOptions {
  /** Interfaces by name or IPv4 address; default all that are up, the loopback interface included. */
  readonly interfaces?: readonly string[];
  /** Told what went wrong without ending anything: one interface of several, a full cache, a listener that threw. */
  readonly onWarning?: (warning: HubcastError) => void;
  /** Closes when it aborts. */
  readonly signal?: AbortSignal;
}

/** DNS-SD over multicast DNS on the interfaces of this machine. */
export interface DnsSd extends AsyncDisposable {
  /**
   * Makes a service known under a name of its own. Resolves when it is announced on all interfaces: about 0.8 s
   * of probing, longer when the name is taken. Rejects with `stopping` when closed before.
   * @throws invalidOption when the port is out of range or the TXT record too large
   */
  advertise(service: AdvertisedService): Promise<Advertisement>;
  /** Looks for services of a type, from now on until closed; those already known are told at once. */
  browse(type: ServiceType, listener: BrowseListener): { close(): void };
  /** Says goodbye for everything advertised and gives back all sockets. Idempotent. */
  close(): Promise<void>;
}

export interface AdvertisedService {
  readonly type: ServiceType;
  /** The wished name of the instance; dots become hyphens, more than 63 bytes are cut off. */
  readonly name: string;
  /** Who it is, whatever its name; goes into TXT as `id` and into the host name. */
  readonly id: string;
  /** 1..65535 */
  readonly port: number;
  /** `id` and `txtvers` are added. Together at most 1,000 bytes, 255 per `key=value`. */
  readonly txt: Readonly<Record<string, string>>;
  /** More entries, for one interface only. */
  readonly txtFor?: (interfaceAddress: string) => Readonly<Record<string, string>>;
  /** The addresses to show on an interface; default its IPv4 addresses. With none it is not advertised there. */
  readonly addressesFor?: (interfaceAddress: string) => readonly string[];
  /** The name became another one, since somebody else has the one before. */
  readonly onRenamed?: (name: string) => void;
}

export interface Advertisement {
  /** The name as it is now. */
  readonly name: string;
  /** Says goodbye for this service alone. Idempotent. */
  close(): Promise<void>;
}

export interface BrowseListener {
  /** Name, host, port, TXT and an address are known. */
  up(service: DiscoveredService): void;
  /** Another port, address or TXT, or one more interface. */
  changed?(service: DiscoveredService): void;
  /** It said goodbye, or was not heard of for as long as its records live (2 min). */
  down(service: DiscoveredService): void;
}
