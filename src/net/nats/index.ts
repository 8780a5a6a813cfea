// Door: a connection to NATS, for nodes and hubs. The client library is loaded by the first connection.
export { connectNats, type NatsConnectOptions } from "./connect.js";
export { noJetStream } from "./faults.js";
export {
  isNatsEngine,
  NATS_REPLICAS,
  type NatsAccess,
  type NatsServers,
  parseNatsEngine,
} from "./options.js";
