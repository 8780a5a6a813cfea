import { execFile } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { Cli } from "./cli.js";

const COMINGS = 300;
const jsonLines = (text: string): Record<string, unknown>[] =>
  text
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));

describe("equal lines are joined and counted", () => {
  test("of clients that come and go, all are accounted for", async () => {
    const hub = new Cli(["hub", "start", "--port", "0", "--no-mdns", "--json", "--log-format", "json"]);
    await hub.says(/"ready"/);
    const port = Number(/:(\d+)"/.exec(hub.stdout)![1]);
    const comesAndGoes = async (): Promise<void> => {
      const socket = connect(port, "127.0.0.1").on("error", () => {});
      // A frame of length 0: the hub closes the connection.
      socket.write(Buffer.alloc(4));
      await once(socket, "close");
    };
    await Promise.all(Array.from({ length: COMINGS }, comesAndGoes));
    hub.kill("SIGTERM");
    await hub.ended();
    const lines = jsonLines(hub.stderr).filter(({ reason }) => reason === "malformedFrame");
    const counted = lines.reduce((sum, { more }) => sum + (typeof more === "number" ? more : 1), 0);
    expect(counted).toBe(COMINGS);
    expect(
      lines.some(({ msg }) =>
        /^client closed \.\.\. and \d+ more like it in the last second$/.test(`${msg}`),
      ),
    ).toBe(true);
  });

  test("lines that differ in message, level or reason are not", async () => {
    const script = `
      const { openLogger } = await import("${new URL("../../build/src/cli/logger.js", import.meta.url).href}");
      const logger = await openLogger("info", "json");
      for (let n = 0; n < 1234; n += 1) {
        logger.warn({ id: n, reason: "a" }, "closed");
        logger.warn({ id: n, reason: "b" }, "closed");
        logger.info({ id: n }, "closed");
        logger.info("said");
        logger.debug("hidden");
      }
      logger.error({ err: new Error("once") }, "failed");`;
    const { stderr } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
    const lines = jsonLines(stderr);
    const summaries = lines.filter(({ more }) => more !== undefined);
    expect(summaries.map(({ level, reason, more, msg }) => [level, reason, more, msg])).toEqual([
      [40, "a", 1214, "closed ... and 1,214 more like it in the last second"],
      [40, "b", 1214, "closed ... and 1,214 more like it in the last second"],
      [30, undefined, 1214, "closed ... and 1,214 more like it in the last second"],
      [30, undefined, 1214, "said ... and 1,214 more like it in the last second"],
    ]);
    expect(
      lines.filter(({ reason, more }) => reason === "a" && more === undefined).map(({ id }) => id),
    ).toEqual(Array.from({ length: 20 }, (_, n) => n));
    expect(lines.find(({ msg }) => msg === "failed")).toMatchObject({ err: { message: "once" } });
  });

  test("of peers, whatever they are called, the first are told", async () => {
    const built = (path: string) => new URL(`../../build/src/${path}`, import.meta.url).href;
    const script = `
      const { openLogger } = await import("${built("cli/logger.js")}");
      const { reportPeers } = await import("${built("cli/live-status.js")}");
      const { LINE_KIND } = await import("${built("core/text.js")}");
      const logger = await openLogger("warn", "json");
      const report = reportPeers(logger, { note: (line) => console.log(line) });
      for (let n = 0; n < 1024; n += 1) {
        const [name, reason] = ["name" + n, "10.0.0." + n + " refuses connections"];
        logger.warn({ [LINE_KIND]: "peer unreached", peerName: name, reason }, "peer " + name + " unreached: " + reason);
        report({ id: "I" + n, name, address: "10.0.0.1:1", state: "connected" });
      }
      report({ id: "I1", name: "name1", address: "10.0.0.1:1", state: "lost", reason: "silent" });`;
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [
      "--input-type=module",
      "-e",
      script,
    ]);
    const logged = jsonLines(stderr).map(({ msg }) => msg);
    expect(logged).toHaveLength(21);
    expect(logged.at(-1)).toMatch(/^peer name0 unreached: .* and 1,004 more like it in the last second$/);
    const told = stdout.trimEnd().split("\n");
    expect(told).toHaveLength(22);
    expect(told[20]).toBe("peer name1 lost (silent)");
    expect(told[21]).toMatch(/^peer name0 connected \(.* and 1,004 more like it in the last second$/);
  });
});
