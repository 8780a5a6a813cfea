import { execFile } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AvahiNetwork, startAvahiNetwork, whyNoAvahi } from "../fixtures/avahi.js";
import { eventually } from "../fixtures/eventually.js";
import { NodeProcess } from "../fixtures/node-process.js";

const run = promisify(execFile);
const reason = whyNoAvahi();
const md5 = (raw: string) => createHash("md5").update(raw).digest("hex");

describe.skipIf(reason)(`on a network of its own${reason ? ` (skipped: ${reason})` : ""}`, () => {
  let network: AvahiNetwork;
  beforeAll(async () => {
    network = await startAvahiNetwork();
  });
  afterAll(() => network?.[Symbol.asyncDispose]());

  const startOn = (machine: AvahiNetwork["here"], ...flags: string[]) => {
    const [program, ...args] = machine.command(process.execPath);
    return NodeProcess.start({ under: [program, ...args.slice(0, -1)], flags });
  };
  const curl = async (machine: AvahiNetwork["here"], ...args: string[]) => {
    const [program, ...words] = machine.command("curl", "-s", ...args);
    return JSON.parse((await run(program, words)).stdout);
  };

  test("avahi-browse shows every node with its TXT record, and none after a clean stop", {
    timeout: 60_000,
  }, async () => {
    const cluster = `t-${randomUUID().slice(0, 8)}`;
    await using a = await startOn(network.here, "--name", "pantry", "--cluster", cluster);
    await using b = await startOn(network.there, "--name", "attic", "--cluster", cluster);
    const shown = async () =>
      (await network.browse("_hubcast._tcp")).filter(({ txt }) => txt.includes(`cluster=${cluster}`));
    await eventually(async () => new Set((await shown()).map(({ name }) => name)).size === 2, 15_000);
    const attic = (await shown()).find(({ name }) => name === "attic")!;
    expect(attic.txt).toEqual(expect.arrayContaining(["txtvers=1", `id=${b.id}`, `p2p=${attic.port}`]));
    expect(attic.host).toBe(`hubcast-${b.id}.local`);
    expect(attic.txt.some((entry) => entry.startsWith("http="))).toBe(false);
    expect(await a.stop()).toBe(0);
    expect(await b.stop()).toBe(0);
    await eventually(async () => (await shown()).length === 0, 10_000);
  });

  test("the seed's walk-through: two nodes with nothing but --port, curl, and its words", {
    timeout: 60_000,
  }, async () => {
    await using _a = await startOn(network.there, "--port", "8080");
    await using _b = await startOn(network.there, "--port", "8081");
    const post = (port: number, body: unknown) =>
      curl(
        network.there,
        `http://127.0.0.1:${port}/postNewData`,
        "-d",
        typeof body === "string" ? body : JSON.stringify(body),
      );
    const item = { id: "1", raw: "hello", signature: md5("hello").toUpperCase() };
    expect(await post(8080, item)).toEqual({ result: true, msg: "ok" });
    expect(await post(8080, item)).toEqual({ result: false, msg: "Data exists" });
    expect(await post(8080, { ...item, id: "2", raw: "hellO" })).toEqual({
      result: false,
      msg: "Invalid data",
    });
    expect(await post(8080, { id: "1", raw: "bye", signature: md5("bye") })).toEqual({
      result: false,
      msg: "Different raw data with same id",
    });
    expect(await post(8080, "{broken")).toEqual({ result: false, msg: "Error parsing data" });
    const wanted = { data_list: [{ ...item, signature: md5("hello") }] };
    const list = (...flags: string[]) =>
      curl(network.there, ...flags, "http://127.0.0.1:8081/listAllRecentData");
    await eventually(async () => JSON.stringify(await list()) === JSON.stringify(wanted), 15_000);
    expect(await list("-X", "POST")).toEqual(wanted);
  });
});
