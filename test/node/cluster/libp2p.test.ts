import { openLibp2pCluster } from "../../../src/node/cluster/libp2p/index.js";
import { describeCluster } from "./contract.js";

const LOOPBACK = { hosts: ["127.0.0.1"] };

describeCluster("libp2p", {
  open: (options) => openLibp2pCluster({ ...options, listen: LOOPBACK }),
});
