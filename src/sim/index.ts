export { itemsFor, SIMULATION_KINDS, type SimulationOptions } from "./options.js";
export type { Report, Spread } from "./report.js";
export { type Progress, simulate } from "./simulation.js";
