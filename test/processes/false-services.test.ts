import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hubcast } from "../commands/cli.js";
import { Lan, whyNoLan } from "../fixtures/lan.js";
import { LineProcess } from "../fixtures/line-process.js";

const SPEAKER = fileURLToPath(new URL("../fixtures/mdns-speaker.js", import.meta.url));
const reason = whyNoLan();

/** A node or hub as its announcement shows it. */
function records(type: string, name: string, address: string, ...txt: string[]) {
  const instance = `${name}.${type}.local`;
  return [
    { name: `${type}.local`, type: "PTR", ttl: 120, data: instance },
    { name: instance, type: "SRV", ttl: 120, data: { port: 9_000, target: `${name}.local` } },
    { name: instance, type: "TXT", ttl: 120, data: ["txtvers=1", `id=${name}`, ...txt] },
    { name: `${name}.local`, type: "A", ttl: 120, data: address },
  ];
}

describe.skipIf(reason)(`another machine of the network${reason ? ` (skipped: ${reason})` : ""}`, () => {
  let lan: Lan;
  beforeAll(async () => {
    lan = await Lan.open(2, 0);
  });
  afterAll(() => lan?.[Symbol.asyncDispose]());

  test("cannot pose as a node or hub of this one", { timeout: 60_000 }, async () => {
    const [here, there] = lan.machines;
    const said = [
      ...records("_hubcast._tcp", "loop", "127.0.0.1", "cluster=hubcast", "http=9000"),
      ...records("_hubcast._tcp", "ours", here!.address, "cluster=hubcast", "http=9000"),
      ...records("_hubcast-hub._tcp", "hub", "127.0.0.1", "monitor=9000"),
      ...records("_hubcast._tcp", "theirs", there!.address, "cluster=hubcast", "http=9000"),
    ];
    const [program, ...args] = [...there!.under, process.execPath, SPEAKER];
    await using speaker = new LineProcess([program!, ...args, there!.address, JSON.stringify(said)]);
    await speaker.line({ event: "speaking" });
    const options = { under: here!.under, env: { HUBCAST_TOKEN: "secret" } };
    const seen = await hubcast(["discover", "--json"], options);
    const lines = seen.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    // It was heard; but nothing of it on loopback.
    expect(lines.map(({ name }) => name).sort()).toEqual(["ours", "theirs"]);
    expect(seen.stdout).not.toContain("127.0.0.1");
    for (const command of [["post", "hello"], ["status"]]) {
      const { stdout, code } = await hubcast(["broadcast", ...command, "--json"], options);
      expect(JSON.parse(stdout).error.message).toMatch(/no node was found on this machine/);
      expect(code).toBe(3);
    }
  });
});
