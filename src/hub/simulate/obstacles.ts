import { HubcastError } from "../../core/errors.js";
import type { HubAddress } from "../remote/address.js";
import type { Client } from "./client.js";
import { addressText } from "./options.js";
import type { Share } from "./orders.js";

/** A client that does not see all others, in all that time. */
export function blindError(share: Share, client: Client, seen: number, waitedMs: number): HubcastError {
  const who = `client ${client.id} at ${addressText(client.address)}`;
  const message = `${who} sees ${seen} others after ${waitedMs / 1_000} s, not all ${share.clients - 1}`;
  return share.addresses.length > 1
    ? new HubcastError("hubsApart", message, { suggestions: ["Look whether these hubs are connected."] })
    : new HubcastError("deadline", message, { suggestions: ["Look whether the hub is overloaded."] });
}

/** Hubs that share clients share one space of ids. */
export function strangersError(addresses: readonly HubAddress[]): HubcastError {
  const where = addresses.map(addressText).join(", ");
  return new HubcastError("hubsApart", `the hubs at ${where} gave two clients the same id`, {
    suggestions: ["They are not connected to each other: load one at a time."],
  });
}

/** Version 1 has no word for it: the hub closes the connections that are too many. */
export function fullError({ clients, addresses }: Share, address: HubAddress, cause: unknown): HubcastError {
  const wanted = Math.ceil(clients / addresses.length);
  const message = `the hub at ${addressText(address)} takes fewer than ${wanted} clients`;
  return new HubcastError("tooManyClients", message, {
    cause,
    suggestions: ["Start it with a larger --clients-max, or pass fewer --clients."],
  });
}
