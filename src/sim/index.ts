export { itemsFor, SIMULATION_KINDS, type SimulationOptions } from "./options.js";
export type { Report, Spread } from "./simulation.js";
export { type Progress, simulate } from "./simulation.js";
