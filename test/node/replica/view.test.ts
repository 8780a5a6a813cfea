import { describe, expect, it } from "vitest";
import { View } from "../../../src/node/replica/holdings.js";
import { compareItems } from "../../../src/node/replica/item.js";
import { itemOf, NOW } from "./replica-kit.js";

const [first, second, third] = [0, 1, 2].map((later) => itemOf("id", `raw ${later}`, NOW + later)) as [
  ReturnType<typeof itemOf>,
  ReturnType<typeof itemOf>,
  ReturnType<typeof itemOf>,
];

function viewOf(...items: (typeof first)[]): View {
  const view = new View();
  for (const item of items) view.add(item);
  return view;
}

describe("a view", () => {
  it("shows the smallest of an id, in whatever order they came", () => {
    const orders = [
      [first, second, third],
      [second, third, first],
      [third, second, first],
      [third, first, second],
    ];
    for (const order of orders) {
      const view = viewOf(...order);
      expect(view.get("id")).toBe(first);
      expect([view.size, view.hidden]).toEqual([1, 2]);
      expect([first, second, third].map((item) => view.isVisible(item))).toEqual([true, false, false]);
    }
  });

  it("decides by digest what has one timestamp", () => {
    const items = ["a", "b", "c"].map((raw) => itemOf("id", raw)).sort(compareItems);
    expect(viewOf(...items.toReversed()).get("id")).toBe(items[0]);
  });

  it("says what an item that comes means", () => {
    const view = new View();
    expect(view.add(second)).toEqual({ type: "appeared", item: second });
    expect(view.add(third)).toEqual({ type: "hidden", item: third });
    expect(view.add(first)).toEqual({ type: "replaced", item: first, previous: second });
  });

  it("says what an item that goes means", () => {
    const view = viewOf(first, second, third);
    expect(view.remove(second)).toEqual({ type: "hidden", item: second });
    expect(view.remove(first)).toEqual({ type: "replaced", item: third, previous: first });
    expect(view.remove(third)).toEqual({ type: "vanished", item: third });
    expect([view.size, view.hidden, view.get("id")]).toEqual([0, 0, undefined]);
  });
});
