import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { frame, hello, relay, u64 } from "../raw-client.js";
import { HubWorld, type Wire } from "./world.js";

const COUNT = 50;
/** Those that the registers and frames of the engine may still name. */
const LAST = 3;
const toAll = frame(18, Buffer.of(0), u64(1), "hello");

/** The clients that have left, as far as they are still in memory. */
class Departed {
  readonly #sessions: WeakRef<object>[] = [];

  add(world: HubWorld, wire: Wire): void {
    this.#sessions.push(new WeakRef(wire.session));
    world.leave(wire);
    world.wires.splice(world.wires.indexOf(wire), 1);
  }

  async kept(): Promise<number> {
    setFlagsFromString("--expose-gc");
    // A WeakRef holds its object until the end of the turn in which it was made or read.
    await new Promise((resolve) => setImmediate(resolve));
    (runInNewContext("gc") as () => void)();
    return this.#sessions.filter((session) => session.deref() !== undefined).length;
  }
}

it("a client that has sent to one that left before keeps nobody in memory behind its own end", async () => {
  const world = new HubWorld();
  const departed = new Departed();
  let last = world.connect();
  for (let count = 0; count < COUNT; count += 1) {
    const next = world.connect();
    world.send(next, relay([last.session.id], "take over"));
    departed.add(world, last);
    last = next;
  }
  expect(await departed.kept()).toBeLessThanOrEqual(LAST);
});

it("a client that sends no more keeps its last receivers in memory for a second at most", async () => {
  const world = new HubWorld();
  const departed = new Departed();
  const silent = world.connect();
  const visitors = Array.from({ length: COUNT }, () => world.connect());
  world.send(silent, hello("silent"), toAll);
  for (const visitor of visitors.splice(0)) departed.add(world, visitor);
  world.pass(1_000);
  expect(await departed.kept()).toBeLessThanOrEqual(LAST);
});

it("a client keeps nobody in memory that got the same message", async () => {
  const world = new HubWorld();
  const departed = new Departed();
  const receivers = Array.from({ length: COUNT }, () => world.connect());
  for (const receiver of receivers) {
    const [sender, other] = [world.connect(), world.connect()];
    world.send(sender, relay([receiver.session.id, other.session.id], "hello"));
    departed.add(world, sender);
    departed.add(world, other);
  }
  expect(await departed.kept()).toBeLessThanOrEqual(LAST);
});
