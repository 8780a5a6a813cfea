import { once } from "node:events";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Connection, WriteTurn } from "../../src/hub/connection.js";
import { HubMachine } from "../../src/hub/machine/machine.js";
import { PacedCalls } from "../../src/runtime/turns.js";
import { frame, hello, splitFrames } from "./raw-client.js";

/** The hub's side of a connection: what the client reads is taken by hand. */
class FakeSocket extends Duplex {
  readonly taken: Buffer[] = [];
  reads = true;
  #waiting: (() => void) | undefined;

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.taken.push(Buffer.from(chunk));
    if (this.reads) done();
    else this.#waiting = done;
  }

  override _read(): void {}

  readOn(): void {
    this.reads = true;
    this.#waiting?.();
  }
}

function connect() {
  const machine = new HubMachine();
  const session = machine.connect(0);
  const socket = new FakeSocket();
  const carryOut = (): void => {
    const { effects } = machine;
    effects.flushUrgent(() => connection.flush());
    effects.flushDirty(() => connection.flush());
    for (const { reading } of effects.takeReading()) connection.setReading(reading);
    for (const { flush } of effects.takeClosing()) flush ? connection.end() : connection.cut();
  };
  const connection = new Connection(
    ...([socket as unknown as Socket, session, machine, new WriteTurn(), () => 0] as const),
    carryOut,
    new PacedCalls(1),
  );
  return { machine, session, socket, carryOut };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
});

it("a client that sent its end gets what is queued, however long it reads nothing", async () => {
  const { session, socket } = connect();
  socket.reads = false;
  socket.push(Buffer.concat([frame(1), frame(2)]));
  socket.push(null);
  await vi.waitUntil(() => !session.open);
  vi.advanceTimersByTime(30_000);
  expect(socket.destroyed).toBe(false);
  socket.readOn();
  await once(socket, "finish");
  expect(splitFrames(Buffer.concat(socket.taken)).frames.map(({ type }) => type)).toEqual([1, 2]);
});

it("a client that is told to go, and reads nothing, is cut after two seconds", async () => {
  const { session, socket } = connect();
  socket.reads = false;
  socket.push(Buffer.concat([hello("client"), frame(99)]));
  await vi.waitUntil(() => !session.open);
  vi.advanceTimersByTime(2_000);
  expect(socket.destroyed).toBe(true);
});

it("a client that sends while its hub stops ends as soon as it does, though nobody reads what it sent", async () => {
  const { machine, socket, carryOut } = connect();
  socket.push(hello("client"));
  await vi.waitUntil(() => socket.taken.length > 0);
  machine.handle({ type: "stopping" }, 0);
  carryOut();
  socket.push(Buffer.alloc(100_000));
  socket.push(null);
  await once(socket, "close");
});
