// The library: everything that `import { ... } from "hubcast"` gives.
export { type ErrorCode, HubcastError } from "./core/errors.js";
export type * from "./node/broadcast.js";
export { connectToNode } from "./node/client.js";
export { startNode } from "./node/index.js";
