import { afterEach, expect, test } from "vitest";
import { LIMITS } from "../../../../src/core/limits.js";
import { Dialer, SelfDialled } from "../../../../src/node/cluster/libp2p/dialer.js";
import { until } from "../recorder.js";

const dialers: Dialer[] = [];
afterEach(() => {
  for (const dialer of dialers.splice(0)) dialer.close();
});

interface Attempt {
  readonly id: string | undefined;
  readonly hosts: readonly string[];
  readonly signal: AbortSignal;
  readonly courtesyMs: number;
}

function start(reach: (attempt: Attempt) => Promise<string>, { room = true, selfId = "a" } = {}) {
  const attempts: Attempt[] = [];
  const up = new Set<string>();
  const dialer = new Dialer({
    selfId,
    reach: (addresses, { expectedId: id, courtesyMs, signal }) => {
      const attempt = { id, hosts: addresses.map(({ host }) => host), signal, courtesyMs };
      attempts.push(attempt);
      return reach(attempt);
    },
    isConnected: (id) => up.has(id),
    hasRoom: () => room,
  });
  dialers.push(dialer);
  return { dialer, attempts, up };
}

const refuse = () => Promise.reject(new Error("refused"));

test("who cannot be reached is tried again, and who is up is not", async () => {
  const { dialer, attempts, up } = start(async ({ id }) => {
    if (attempts.length < 3) return refuse();
    up.add(id!);
    dialer.up(id!);
    return id!;
  });
  dialer.dial({ id: "b", addresses: ["127.0.0.1:1"] });
  await until("the third attempt", () => attempts.length === 3);
  expect(up.has("b")).toBe(true);
  up.delete("b");
  dialer.lost("b");
  await until("lost, and tried again", () => attempts.length === 4);
});

test("who has connected meanwhile is not dialled any more, until that connection ends", async () => {
  const { dialer, attempts, up } = start(
    ({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", reject)),
  );
  dialer.dial({ id: "b", addresses: ["127.0.0.1:1"] });
  await until("an attempt", () => attempts.length === 1);
  dialer.accepted("b");
  expect(attempts[0]!.signal.aborted, "its connection was refused").toBe(false);
  up.add("b");
  dialer.accepted("b");
  expect(attempts[0]!.signal.aborted).toBe(true);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(attempts.length).toBe(1);
  up.delete("b");
  dialer.lost("b");
  await until("another attempt", () => attempts.length === 2);
});

test("the one with the larger id lets the other go first, longer when they had met before", async () => {
  const { dialer, attempts } = start(refuse, { selfId: "m" });
  for (const id of ["a", "z"]) dialer.dial({ id, addresses: ["127.0.0.1:1"] });
  await until("second attempts", () => attempts.length === 4);
  const courtesies = (peer: string) =>
    attempts.filter(({ id }) => id === peer).map(({ courtesyMs }) => courtesyMs);
  expect(courtesies("z")).toEqual([0, 0]);
  const [first, second] = courtesies("a") as [number, number];
  expect(first).toBeGreaterThan(0);
  expect(second).toBeGreaterThan(first);
});

test("a dial that adds an address is heard of at once, with all addresses known", async () => {
  const { dialer, attempts } = start(refuse);
  dialer.dial({ id: "b", addresses: ["127.0.0.1:1"] });
  await until("an attempt", () => attempts.length === 1);
  dialer.dial({ id: "b", addresses: ["127.0.0.2:1"] });
  await until("another", () => attempts.length === 2);
  expect(attempts[1]!.hosts).toEqual(["127.0.0.1", "127.0.0.2"]);
});

test("the forgotten are let go in the middle of an attempt", async () => {
  const { dialer, attempts } = start(
    ({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", reject)),
  );
  dialer.dial({ id: "b", addresses: ["127.0.0.1:1"] });
  await until("an attempt", () => attempts.length === 1);
  dialer.forget("b");
  expect(attempts[0]!.signal.aborted).toBe(true);
});

test("an address that leads to oneself is dropped, the others stay", async () => {
  const { dialer, attempts } = start(() => Promise.reject(new SelfDialled({ host: "127.0.0.1", port: 1 })));
  dialer.dial({ addresses: ["127.0.0.1:1", "127.0.0.2:1"] });
  await until("tried again", () => attempts.length === 2);
  expect(attempts[1]!.hosts).toEqual(["127.0.0.2"]);
});

test("what is remembered is bounded, in peers and in addresses of each", async () => {
  const { dialer, attempts } = start(refuse);
  const addresses = Array.from({ length: 100 }, (_, index) => `127.0.0.1:${index + 1}`);
  for (let index = 0; index < LIMITS.knownPeersMax + 500; index++)
    dialer.dial({ id: `b${index}`, addresses });
  await until(
    "all that are known were tried",
    () => new Set(attempts.map(({ id }) => id)).size === LIMITS.knownPeersMax,
  );
  expect(attempts.every(({ hosts }) => hosts.length <= LIMITS.peerAddressesMax)).toBe(true);
  expect(attempts.some(({ id }) => id === "b0")).toBe(false);
});

test("garbage and oneself are not dialled", async () => {
  const { dialer, attempts } = start(refuse);
  dialer.dial({ id: "a", addresses: ["127.0.0.1:1"] });
  dialer.dial({ id: "c", addresses: ["nonsense", "/ip4/1.2.3.4/udp/1"] });
  dialer.dial({ id: "d", addresses: ["127.0.0.1:1"] });
  await until("an attempt", () => attempts.length === 1);
  expect(attempts[0]!.id).toBe("d");
});
