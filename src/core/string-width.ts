// Loaded when a text is not plain: see columnsOf.
export { default } from "string-width";
