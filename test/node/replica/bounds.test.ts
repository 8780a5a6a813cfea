import { describe, expect, it } from "vitest";
import { encodedLength } from "../../../src/node/replica/item.js";
import { Driver, itemOf, itemsOf, makeReplica, only, outcomes } from "./replica-kit.js";

describe("a full node", () => {
  it("takes as many items of one request as there is room for", () => {
    const driver = new Driver(makeReplica({ itemsMax: 2 }));
    const [commit] = only(driver.post(...itemsOf(4)), "commit");
    expect(commit!.add).toHaveLength(2);
    expect(outcomes(driver.committed(commit!.commit))).toEqual([
      "accepted",
      "accepted",
      "nodeFull",
      "nodeFull",
    ]);
  });

  it("takes as many items of one gossip message as there is room for, and counts the others", () => {
    const driver = new Driver(makeReplica({ itemsMax: 2 }));
    driver.meet();
    expect(only(driver.gossip(itemsOf(4)), "commit")[0]!.add).toHaveLength(2);
    expect(driver.replica.figures.refused).toBe(2);
  });

  it("counts bytes like items, pending ones too", () => {
    const [a, b] = itemsOf(2);
    const driver = new Driver(makeReplica({ itemBytesMax: encodedLength(a!) + encodedLength(b!) - 1 }));
    driver.post(a!);
    expect(outcomes(driver.post(b!))).toEqual(["nodeFull"]);
  });

  it("still answers held and conflict", () => {
    const driver = new Driver(makeReplica({ itemsMax: 1 }));
    driver.hold(itemOf("a"));
    expect(outcomes(driver.post(itemOf("a"), itemOf("a", "other"), itemOf("b")))).toEqual([
      "held",
      "conflict",
      "nodeFull",
    ]);
  });
});
