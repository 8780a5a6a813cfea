// The library: everything that `import { ... } from "hubcast"` gives.
export { type ErrorCode, HubcastError } from "./core/errors.js";
export type * from "./hub/client.js";
export { connectToHub } from "./hub/client.js";
export type * from "./hub/index.js";
export { startHub } from "./hub/index.js";
export type * from "./node/broadcast.js";
export { type ConnectOptions, connectToNode, type RemoteNode } from "./node/client.js";
export { type NodeLogger, type NodeOptions, type StartedNode, startNode } from "./node/index.js";
export { signItem } from "./node/keys.js";
