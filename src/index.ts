// The library: everything that `import { ... } from "hubcast"` gives.
export * from "./client.js";
export type * from "./hub/index.js";
export { startHub } from "./hub/index.js";
export {
  type NodeLogger,
  type NodeOptions,
  type StartedNode,
  startNode,
  type Trusted,
} from "./node/index.js";
