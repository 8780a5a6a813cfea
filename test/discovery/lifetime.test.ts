import { describe, expect, test } from "vitest";
import { openDnsSd } from "../../src/discovery/index.js";
import { usableInterfaces } from "../../src/discovery/links.js";
import { open, service } from "./loopback.js";

describe("opening and closing", () => {
  test("an interface that does not exist is refused, with those that do", async () => {
    await expect(openDnsSd({ interfaces: ["127.0.0.1", "nowhere9"] })).rejects.toMatchObject({
      code: "invalidOption",
      message: expect.stringContaining('"nowhere9"'),
      suggestions: [expect.stringContaining("127.0.0.1")],
    });
  });

  test("an interface is meant by its name or address; by default the loopback interface is among them", () => {
    const loopback = usableInterfaces(["127.0.0.1"]);
    expect(loopback).toMatchObject([{ address: "127.0.0.1", loopback: true }]);
    expect(usableInterfaces([loopback[0]!.name])).toEqual(loopback);
    expect(usableInterfaces()).toContainEqual(loopback[0]);
  });

  test("closing twice is closing once; afterwards nothing can be done", async () => {
    const a = await open();
    await Promise.all([a.close(), a.close()]);
    expect(() => a.browse("_hubcast._tcp", { up: () => {}, down: () => {} })).toThrow("closed");
    await expect(a.advertise(service())).rejects.toMatchObject({ code: "stopping" });
  });

  test("closing while a name is probed rejects the one who waits for it", async () => {
    const a = await open();
    const pending = expect(a.advertise(service())).rejects.toMatchObject({ code: "stopping" });
    await a.close();
    await pending;
  });

  test("a signal closes it; one that was given before opens nothing", async () => {
    const controller = new AbortController();
    const dnssd = await openDnsSd({ interfaces: ["127.0.0.1"], signal: controller.signal });
    controller.abort();
    await expect(dnssd.advertise(service())).rejects.toMatchObject({ code: "stopping" });
    await dnssd.close();
    await expect(openDnsSd({ signal: controller.signal })).rejects.toThrow();
  });

  test.each([
    ["port 0", { port: 0 }],
    ["port 65536", { port: 65_536 }],
    ["a long TXT entry", { txt: { cluster: "x".repeat(250) } }],
  ])("%s cannot be advertised", async (_, fields) => {
    const a = await open();
    await expect(a.advertise(service(fields))).rejects.toMatchObject({ code: "invalidOption" });
  });
});
