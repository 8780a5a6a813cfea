// `hubcast/client`: all that a program needs which talks to a node or a hub. It loads nothing of a node, of a hub's
// server, or of a terminal: undici, when it connects to a node.
export { type ErrorCode, HubcastError } from "./core/errors.js";
export { topicOf } from "./core/topic.js";
export type * from "./hub/client/index.js";
export { connectToHub } from "./hub/client/index.js";
export type * from "./node/broadcast.js";
export { connectToNode, type RemoteNode } from "./node/client.js";
export { idUnder } from "./node/ids.js";
export { signItem } from "./node/keys.js";
