import type { DnsPacket } from "./packet.js";

/** An interface that came up, as one service is to be shown there. */
export interface LinkUp {
  /** The interface's name: the key of everything that is kept per interface. */
  readonly link: string;
  /** Nobody else's medium: answers may be repeated sooner. */
  readonly loopback: boolean;
  readonly addresses: readonly string[];
  readonly txt: Readonly<Record<string, string>>;
}

export interface Sender {
  readonly address: string;
  readonly port: number;
}

/** Order to send a packet on an interface, to the group or, with `to`, to one asker. */
export interface SendEffect {
  readonly type: "send";
  readonly link: string;
  readonly packet: DnsPacket;
  readonly to?: Sender;
}
