// The light door: what talks to a hub, without what a hub is made of.

export type { HubPeer } from "./protocol/decode.js";
export { parseHubAddress } from "./remote/address.js";
export { connectToHub } from "./remote/connect.js";
export type { HubClient, SendOptions } from "./remote/hub-client.js";
export type { HubClientEvent, HubClientOptions, HubMessage, HubReceipt } from "./remote/options.js";
