import { describe, expect, it } from "vitest";
import { Desk, itemOf, only, outcomes } from "./replica-kit.js";

const a = itemOf("a");
const b = itemOf("b");

function commitOf(effects: Parameters<typeof only>[0]): number {
  return only(effects, "commit")[0]!.commit;
}

describe("a posted item", () => {
  it("is neither held, answered nor gossiped before its commit", () => {
    const desk = new Desk();
    const effects = desk.post(a);
    expect(effects.map(({ type }) => type)).toEqual(["commit"]);
    expect(only(effects, "commit")[0]).toMatchObject({ add: [a], remove: [] });
    expect(desk.replica.holdings.has(a.digest)).toBe(false);
  });

  it("is answered, gossiped and told in that order after it", () => {
    const desk = new Desk();
    const effects = desk.committed(commitOf(desk.post(a)));
    expect(effects.map(({ type }) => type)).toEqual(["answer", "publish", "notify"]);
    expect(outcomes(effects)).toEqual(["accepted"]);
    expect(desk.replica.holdings.has(a.digest)).toBe(true);
  });

  it("is refused when its commit fails, and can be posted again", () => {
    const desk = new Desk();
    const failed = desk.tell({ type: "commitFailed", commit: commitOf(desk.post(a)) });
    expect(failed.map(({ type }) => type)).toEqual(["answer"]);
    expect(outcomes(failed)).toEqual(["storageFailed"]);
    expect(desk.replica.commits).toMatchObject({ size: 0, bytes: 0 });
    expect(outcomes(desk.committed(commitOf(desk.post(a))))).toEqual(["accepted"]);
  });
});

describe("held and conflict", () => {
  it("are answered at once when the item stands", () => {
    const desk = new Desk();
    desk.hold(a);
    expect(outcomes(desk.post(a, itemOf("a", "another raw")))).toEqual(["held", "conflict"]);
  });

  it("wait for the commit they rest on", () => {
    const desk = new Desk();
    const commit = commitOf(desk.post(a));
    expect(desk.post(a)).toEqual([]);
    expect(desk.post(itemOf("a", "another raw"))).toEqual([]);
    expect(outcomes(desk.committed(commit))).toEqual(["accepted", "held", "conflict"]);
  });

  it("rest on an item that came by gossip, too", () => {
    const desk = new Desk();
    const commit = commitOf(desk.gossip(a));
    expect(desk.post(a)).toEqual([]);
    expect(outcomes(desk.committed(commit))).toEqual(["held"]);
  });

  it("hold within one request", () => {
    const desk = new Desk();
    const effects = desk.post(a, a, itemOf("a", "another raw"), b);
    expect(only(effects, "commit")[0]!.add).toEqual([a, b]);
    expect(outcomes(desk.committed(commitOf(effects)))).toEqual(["accepted", "held", "conflict", "accepted"]);
  });

  it("become refusals when that commit fails", () => {
    const desk = new Desk();
    const commit = commitOf(desk.post(a));
    desk.post(a);
    desk.post(itemOf("a", "another raw"));
    const failed = desk.tell({ type: "commitFailed", commit });
    expect(outcomes(failed)).toEqual(["storageFailed", "storageFailed", "storageFailed"]);
  });

  it("become refusals, also when they wait behind a later commit that succeeds", () => {
    const desk = new Desk();
    const first = commitOf(desk.post(a));
    const second = commitOf(desk.post(b));
    desk.post(a);
    desk.tell({ type: "commitFailed", commit: first });
    expect(outcomes(desk.committed(second))).toEqual(["accepted", "storageFailed"]);
  });

  it("become refusals, also when the rest of their own request succeeds", () => {
    const desk = new Desk();
    const first = commitOf(desk.post(a));
    const second = commitOf(desk.post(a, b));
    desk.tell({ type: "commitFailed", commit: first });
    expect(outcomes(desk.committed(second))).toEqual(["storageFailed", "accepted"]);
  });
});

describe("a gossip message", () => {
  it("is accepted once what is new in it is durable", () => {
    const desk = new Desk();
    desk.hold(a);
    const effects = desk.gossip(a, b);
    expect(only(effects, "judge")).toEqual([]);
    expect(only(desk.committed(commitOf(effects)), "judge")).toMatchObject([{ verdict: "accept" }]);
  });

  it.each([
    ["is held", (desk: Desk) => desk.hold(a)],
    ["is pending", (desk: Desk) => void desk.gossip(a)],
  ])("is ignored at once when all of it %s", (_, before) => {
    const desk = new Desk();
    before(desk);
    expect(desk.gossip(a)).toMatchObject([{ type: "judge", verdict: "ignore" }]);
  });

  it("is ignored when the commit fails, and what was in it may come again", () => {
    const desk = new Desk();
    const failed = desk.tell({ type: "commitFailed", commit: commitOf(desk.gossip(a)) });
    expect(failed).toMatchObject([{ type: "judge", verdict: "ignore" }]);
    expect(only(desk.gossip(a), "commit")).toHaveLength(1);
  });

  it("that has an item twice is one item", () => {
    const desk = new Desk();
    const effects = desk.gossip(a, a);
    expect(only(effects, "commit")[0]!.add).toEqual([a]);
    desk.committed(commitOf(effects));
    expect(desk.replica.commits).toMatchObject({ size: 0, bytes: 0 });
    expect(desk.replica.commits.byId("a")).toBeUndefined();
  });
});

describe("one number", () => {
  it("settles all commits up to it", () => {
    const desk = new Desk();
    desk.post(a);
    const last = commitOf(desk.post(b));
    expect(outcomes(desk.committed(last))).toEqual(["accepted", "accepted"]);
  });
});
