import { describe, expect, it } from "vitest";
import { encodedLength } from "../../../src/node/protocol/item.js";
import { Desk, itemOf, itemsOf, makeReplica, only, outcomes } from "./replica-kit.js";

describe("a full node", () => {
  it("takes as many items of one request as there is room for", () => {
    const desk = new Desk(makeReplica({ itemsMax: 2 }));
    const [commit] = only(desk.post(...itemsOf(4)), "commit");
    expect(commit!.add).toHaveLength(2);
    expect(outcomes(desk.committed(commit!.commit))).toEqual([
      "accepted",
      "accepted",
      "nodeFull",
      "nodeFull",
    ]);
  });

  it("takes as many items of one gossip message as there is room for, and counts the others", () => {
    const desk = new Desk(makeReplica({ itemsMax: 2 }));
    expect(only(desk.gossip(...itemsOf(4)), "commit")[0]!.add).toHaveLength(2);
    expect(desk.replica.figures.refused).toBe(2);
  });

  it("counts bytes like items, pending ones too", () => {
    const [a, b] = itemsOf(2);
    const desk = new Desk(makeReplica({ itemBytesMax: encodedLength(a!) + encodedLength(b!) - 1 }));
    desk.post(a!);
    expect(outcomes(desk.post(b!))).toEqual(["nodeFull"]);
  });

  it("still answers held and conflict", () => {
    const desk = new Desk(makeReplica({ itemsMax: 1 }));
    desk.hold(itemOf("a"));
    expect(outcomes(desk.post(itemOf("a"), itemOf("a", "other"), itemOf("b")))).toEqual([
      "held",
      "conflict",
      "nodeFull",
    ]);
  });
});
