import { expect, it } from "vitest";
import { nearest } from "../../src/core/text.js";

const COMMANDS = ["broadcast:list", "broadcast:post", "broadcast:peers", "help"];

it.each([
  ["broadcast:lsit", "broadcast:list"],
  ["brodcast:peers", "broadcast:peers"],
  ["hlep", "help"],
  ["he", "help"],
  ["frobnicate", undefined],
  ["x", undefined],
])("%s stands for %s", (word, meant) => {
  expect(nearest(word, COMMANDS)).toBe(meant);
});
