export { itemsFor, SIMULATION_DEFAULTS, type SimulationOptions } from "./options.js";
export type { Report, Spread } from "./report.js";
export { type Progress, simulate } from "./simulation.js";
