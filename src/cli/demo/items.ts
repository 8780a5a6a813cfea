/** What the demo posts with the CLI, and asks for again and again. */
export const FIRST_ITEM = { id: "notice-1", raw: "doors open at nine" };

/** How many more it posts through the library, to measure. */
export const MORE_ITEMS = 20;
