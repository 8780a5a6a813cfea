import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { PeerTable } from "../../../src/node/protocol/peer-table.js";
import { Desk, NOW } from "./replica-kit.js";

const hello = new Desk().hello();

describe("the table of peers", () => {
  it("counts as greeted who is connected and has said hello", () => {
    const peers = new PeerTable();
    peers.up("silent", "", NOW);
    peers.up("greeted", "", NOW).hello = hello;
    peers.up("gone", "", NOW).hello = hello;
    peers.down("gone", "reset", NOW);
    expect(peers.greeted().map(({ id }) => id)).toEqual(["greeted"]);
  });

  it("lets a peer go once", () => {
    const peers = new PeerTable();
    peers.up("a", "", NOW);
    expect(peers.down("a", "first", NOW)?.reason).toBe("first");
    expect(peers.down("a", "second", NOW)).toBeUndefined();
    expect(peers.down("b", "never seen", NOW)).toBeUndefined();
  });

  it("keeps no more departed peers than its bound, the latest", () => {
    const peers = new PeerTable();
    for (let index = 0; index < LIMITS.knownPeersMax + 10; index++) {
      peers.up(`${index}`, "", NOW);
      peers.down(`${index}`, "reset", NOW + index);
    }
    peers.up("here", "", NOW);
    peers.prune(NOW + 2_000);
    expect([...peers.all()]).toHaveLength(LIMITS.knownPeersMax + 1);
    expect(peers.get("9")).toBeUndefined();
    expect(peers.get("10")).toBeDefined();
  });

  it.each([
    ["no peers", [], 0],
    ["one", [500], 500],
    ["three", [-9_000, 10, 20], 10],
    ["those that said nothing of theirs", [undefined, 40], 40],
  ])("takes the clock of most: %s", (_, offsets, median) => {
    const peers = new PeerTable();
    offsets.forEach((offset, index) => {
      const peer = peers.up(`${index}`, "", NOW);
      if (offset !== undefined) peer.clockOffsetMs = offset;
    });
    expect(peers.clockOffsetMs()).toBe(median);
  });

  it("asks the silent once a heartbeat, and gives them up after a few", () => {
    const peers = new PeerTable();
    peers.checkPulse(NOW);
    peers.up("a", "", NOW);
    const asked: number[] = [];
    for (let nowMs = NOW + 500; ; nowMs += 500) {
      const { ask, lost } = peers.checkPulse(nowMs);
      if (ask.length > 0) asked.push(nowMs - NOW);
      if (lost.length > 0) {
        expect(nowMs - NOW).toBe(LIMITS.heartbeatLostMs);
        break;
      }
    }
    expect(asked).toEqual([1_000, 2_000, 3_000]);
  });
});
