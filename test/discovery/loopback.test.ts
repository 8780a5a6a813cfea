import { describe, expect, test } from "vitest";
import { eventually } from "../fixtures/eventually.js";
import { open, service, warnings, watch } from "./loopback.js";

describe("on the loopback interface", () => {
  test("a service is found with all it shows, and its goodbye is heard", async () => {
    const [a, b] = [await open(), await open()];
    const shown = service({ txt: { cluster: "blue" }, txtFor: (address) => ({ http: `${address}:8080` }) });
    const watcher = watch(b, [shown.id]);
    await a.advertise(shown);
    const found = await eventually(() => watcher.services.get(shown.id));
    expect(found).toMatchObject({
      type: "_hubcast._tcp",
      name: shown.name,
      host: `hubcast-${shown.id}.local`,
      port: 4_000,
      addresses: ["127.0.0.1"],
      interfaceAddress: "127.0.0.1",
      txt: { txtvers: "1", cluster: "blue", http: "127.0.0.1:8080", id: shown.id },
    });
    await a.close();
    await eventually(() => !watcher.services.has(shown.id), 3_000);
    expect(watcher.events).toEqual([
      ["up", shown.id],
      ["down", shown.id],
    ]);
  });

  test("one that comes later finds what is there, and a second listener is told what is known", async () => {
    const [a, b] = [await open(), await open()];
    const shown = service();
    await a.advertise(shown);
    const first = watch(b, [shown.id]);
    await eventually(() => first.services.has(shown.id));
    const second = watch(b, [shown.id]);
    await eventually(() => second.services.has(shown.id));
    first.close();
    second.close();
  });

  test("nodes and hubs are told apart", async () => {
    const a = await open();
    const hub = service({ type: "_hubcast-hub._tcp" });
    const node = service();
    const hubs = watch(a, [hub.id, node.id], "_hubcast-hub._tcp");
    await Promise.all([a.advertise(hub), a.advertise(node)]);
    await eventually(() => hubs.services.has(hub.id));
    expect(hubs.events).toEqual([["up", hub.id]]);
  });

  test("the second of one name is renamed and says so, its identity stays", async () => {
    const [a, b] = [await open(), await open()];
    const first = service();
    const renamed: string[] = [];
    const second = service({ name: first.name, onRenamed: (name) => renamed.push(name) });
    const one = await a.advertise(first);
    const two = await b.advertise(second);
    expect([one.name, two.name]).toEqual([first.name, `${first.name} (2)`]);
    expect(renamed).toEqual([`${first.name} (2)`]);
    const watcher = watch(await open(), [first.id, second.id]);
    await eventually(() => watcher.services.size === 2);
    expect(watcher.services.get(second.id)?.name).toBe(`${first.name} (2)`);
  });

  test("ten that start at once under one name all get one of their own", async () => {
    const first = service();
    const nodes = await Promise.all(Array.from({ length: 10 }, open));
    const advertised = await Promise.all(
      nodes.map((node) => node.advertise({ ...service(), name: first.name })),
    );
    const names = advertised.map(({ name }) => name);
    expect(new Set(names).size).toBe(10);
    expect(names).toContain(first.name);
  });

  test("one service of several can be closed alone", async () => {
    const [a, b] = [await open(), await open()];
    const [stays, goes] = [service(), service()];
    const watcher = watch(b, [stays.id, goes.id]);
    const [, going] = await Promise.all([a.advertise(stays), a.advertise(goes)]);
    await eventually(() => watcher.services.size === 2);
    await going.close();
    await eventually(() => !watcher.services.has(goes.id));
    expect([...watcher.services.keys()]).toEqual([stays.id]);
  });

  test("a service without an address on an interface is not advertised there", async () => {
    const [a, b] = [await open(), await open()];
    const [hidden, shown] = [service({ addressesFor: () => [] }), service()];
    const watcher = watch(b, [hidden.id, shown.id]);
    await a.advertise(hidden);
    await a.advertise(shown);
    await eventually(() => watcher.services.has(shown.id));
    expect([...watcher.services.keys()]).toEqual([shown.id]);
  });

  test("a listener that throws is a warning, and the others are told", async () => {
    const a = await open();
    const shown = service();
    a.browse("_hubcast._tcp", {
      up: ({ id }) => {
        if (id === shown.id) throw new Error("listener failed");
      },
      down: () => {},
    });
    const watcher = watch(a, [shown.id]);
    await a.advertise(shown);
    await eventually(() => watcher.services.has(shown.id));
    expect(warnings.splice(0).map(({ message }) => message)).toEqual(["listener failed"]);
  });
});
