import { describe, expect, it } from "vitest";
import type { Item } from "../../../src/node/replica/item.js";
import { Driver, frames, itemOf, only, outcomes } from "./replica-kit.js";

const a = itemOf("a");
const b = itemOf("b");

/** A node with links to "peer" and others. */
function met(...others: string[]): Driver {
  const driver = new Driver();
  for (const peer of ["peer", ...others]) driver.meet(peer);
  return driver;
}

function commitOf(effects: Parameters<typeof only>[0]): number {
  return only(effects, "commit")[0]!.commit;
}

describe("a posted item", () => {
  it("is neither held, answered nor gossiped before its commit", () => {
    const driver = new Driver();
    const effects = driver.post(a);
    expect(effects.map(({ type }) => type)).toEqual(["commit"]);
    expect(only(effects, "commit")[0]).toMatchObject({ add: [a], remove: [] });
    expect(driver.replica.holdings.has(a.digest)).toBe(false);
  });

  it("is gossiped, answered and told in that order after it", () => {
    const driver = met();
    const effects = driver.committed(commitOf(driver.post(a)));
    expect(effects.map(({ type }) => type)).toEqual(["send", "answer", "notify"]);
    expect(outcomes(effects)).toEqual(["accepted"]);
    expect(driver.replica.holdings.has(a.digest)).toBe(true);
  });

  it("is refused when its commit fails, and can be posted again", () => {
    const driver = new Driver();
    const failed = driver.tell({ type: "commitFailed", commit: commitOf(driver.post(a)) });
    expect(failed.map(({ type }) => type)).toEqual(["answer"]);
    expect(outcomes(failed)).toEqual(["storageFailed"]);
    expect(driver.replica.commits).toMatchObject({ size: 0, bytes: 0 });
    expect(outcomes(driver.committed(commitOf(driver.post(a))))).toEqual(["accepted"]);
  });
});

describe("held and conflict", () => {
  it("are answered at once when the item stands", () => {
    const driver = new Driver();
    driver.hold(a);
    expect(outcomes(driver.post(a, itemOf("a", "another raw")))).toEqual(["held", "conflict"]);
  });

  it("wait for the commit they rest on", () => {
    const driver = new Driver();
    const commit = commitOf(driver.post(a));
    expect(driver.post(a)).toEqual([]);
    expect(driver.post(itemOf("a", "another raw"))).toEqual([]);
    expect(outcomes(driver.committed(commit))).toEqual(["accepted", "held", "conflict"]);
  });

  it("rest on an item that came by gossip, too", () => {
    const driver = met();
    const commit = commitOf(driver.gossip([a]));
    expect(driver.post(a)).toEqual([]);
    expect(outcomes(driver.committed(commit))).toEqual(["held"]);
  });

  it("hold within one request", () => {
    const driver = new Driver();
    const effects = driver.post(a, a, itemOf("a", "another raw"), b);
    expect(only(effects, "commit")[0]!.add).toEqual([a, b]);
    expect(outcomes(driver.committed(commitOf(effects)))).toEqual([
      "accepted",
      "held",
      "conflict",
      "accepted",
    ]);
  });

  it("become refusals when that commit fails", () => {
    const driver = new Driver();
    const commit = commitOf(driver.post(a));
    driver.post(a);
    driver.post(itemOf("a", "another raw"));
    const failed = driver.tell({ type: "commitFailed", commit });
    expect(outcomes(failed)).toEqual(["storageFailed", "storageFailed", "storageFailed"]);
  });

  it("become refusals, also when they wait behind a later commit that succeeds", () => {
    const driver = new Driver();
    const first = commitOf(driver.post(a));
    const second = commitOf(driver.post(b));
    driver.post(a);
    driver.tell({ type: "commitFailed", commit: first });
    expect(outcomes(driver.committed(second))).toEqual(["accepted", "storageFailed"]);
  });

  it("become refusals, also when the rest of their own request succeeds", () => {
    const driver = new Driver();
    const first = commitOf(driver.post(a));
    const second = commitOf(driver.post(a, b));
    driver.tell({ type: "commitFailed", commit: first });
    expect(outcomes(driver.committed(second))).toEqual(["storageFailed", "accepted"]);
  });
});

describe("a batch of gossip", () => {
  it("is passed on once what is new in it is durable", () => {
    const driver = met("other");
    driver.hold(a);
    const effects = driver.gossip([a, b]);
    expect(frames(effects, "batch", "other")).toEqual([]);
    expect(frames(driver.committed(commitOf(effects)), "batch", "other")).toHaveLength(1);
  });

  it("whose commit failed may bring the same items again", () => {
    const driver = met();
    driver.tell({ type: "commitFailed", commit: commitOf(driver.gossip([a])) });
    expect(only(driver.gossip([a, b]), "commit")[0]!.add).toEqual([a, b]);
  });

  it("that has an item twice is one item", () => {
    const driver = met();
    const effects = driver.gossip([a, a]);
    expect(only(effects, "commit")[0]!.add).toEqual([a]);
    driver.committed(commitOf(effects));
    expect(driver.replica.commits).toMatchObject({ size: 0, bytes: 0 });
    expect(driver.replica.commits.byId("a")).toBeUndefined();
  });
});

describe("a message of the log", () => {
  const logged = (...items: Item[]) => ({ type: "logged", message: 1, items }) as const;

  it("is accepted once what is new in it is durable", () => {
    const driver = new Driver();
    driver.hold(a);
    const effects = driver.tell(logged(a, b));
    expect(only(effects, "acknowledge")).toEqual([]);
    expect(only(driver.committed(commitOf(effects)), "acknowledge")).toMatchObject([{ verdict: "accept" }]);
  });

  it.each([
    ["is held", (driver: Driver) => driver.hold(a)],
    ["is pending", (driver: Driver) => void driver.tell(logged(a))],
  ])("is ignored at once when all of it %s", (_, before) => {
    const driver = new Driver();
    before(driver);
    expect(driver.tell(logged(a))).toMatchObject([{ type: "acknowledge", verdict: "ignore" }]);
  });

  it("is ignored when the commit fails, and what was in it may come again", () => {
    const driver = new Driver();
    const failed = driver.tell({ type: "commitFailed", commit: commitOf(driver.tell(logged(a))) });
    expect(failed).toMatchObject([{ type: "acknowledge", verdict: "ignore" }]);
    expect(only(driver.tell(logged(a)), "commit")).toHaveLength(1);
  });
});

describe("one number", () => {
  it("settles all commits up to it", () => {
    const driver = new Driver();
    driver.post(a);
    const last = commitOf(driver.post(b));
    expect(outcomes(driver.committed(last))).toEqual(["accepted", "accepted"]);
  });
});
