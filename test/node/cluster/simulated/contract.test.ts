import { describeCluster } from "../contract.js";
import { SimulatedNetwork } from "./engine.js";

const network = new SimulatedNetwork();

describeCluster("simulated", {
  meets: "dialled",
  open: async (options) => network.open(options),
  openTwin: async (of, options) => network.open(options, of.id),
});
