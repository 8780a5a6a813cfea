// Texts that come from others, made fit for a terminal: the same for commands and the dashboard.
export { firstLine, shown } from "../core/text.js";
