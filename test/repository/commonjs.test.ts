import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { ROOT } from "./architecture.js";

/** A CommonJS project that has hubcast among its packages. */
const directory = mkdtempSync(join(tmpdir(), "hubcast-commonjs-"));
mkdirSync(join(directory, "node_modules"));
symlinkSync(ROOT, join(directory, "node_modules/hubcast"));
writeFileSync(join(directory, "package.json"), '{ "type": "commonjs" }');
writeFileSync(
  join(directory, "static.ts"),
  `import { HubcastError, type StartedNode, startNode } from "hubcast";
import { connectToHub, type HubClient } from "hubcast/client";
export const start = (): Promise<StartedNode> => startNode({ mdns: false });
export const connect = (): Promise<HubClient> => connectToHub("127.0.0.1:9999");
export const isOurs = (error: unknown): boolean => error instanceof HubcastError;
`,
);
writeFileSync(
  join(directory, "dynamic.ts"),
  `export async function start(): Promise<string> {
  const { startNode } = await import("hubcast");
  return (await startNode({ mdns: false })).id;
}
`,
);

/** @returns what the compiler complains of */
async function complaints(file: string, module: string): Promise<string> {
  const tsc = join(ROOT, "node_modules/.bin/tsc");
  // Node's own types are all that those of the package need.
  const types = ["--types", "node", "--typeRoots", join(ROOT, "node_modules/@types")];
  const flags = ["--noEmit", "--strict", "--target", "es2023", ...types, "--module", module, file];
  const compiled = promisify(execFile)(tsc, flags, { cwd: directory });
  return await compiled.then(
    () => "",
    ({ stdout }: { stdout: string }) => stdout,
  );
}

describe("a CommonJS program", () => {
  it("requires the package", async () => {
    const program = `
      const { startNode, HubcastError } = require("hubcast");
      const client = require("hubcast/client");
      console.log(typeof startNode, typeof client.connectToHub, client.HubcastError === HubcastError);`;
    const { stdout } = await promisify(execFile)(process.execPath, ["-e", program], { cwd: directory });
    expect(stdout).toBe("function function true\n");
  });

  it("that catches no error prints the error, and no more of the package than its line", async () => {
    const program = `require("hubcast").startNode({ clusterr: "x" });`;
    const failed = promisify(execFile)(process.execPath, ["-e", program], { cwd: directory });
    const stderr = await failed.then(
      () => "",
      (error: { stderr: string }) => error.stderr,
    );
    expect(stderr).toContain(`HubcastError: startNode has no option "clusterr"`);
    expect(Math.max(...stderr.split("\n").map(({ length }) => length))).toBeLessThan(500);
  });

  it.each(["nodenext", "node20"])("imports it in TypeScript with module %s", async (module) => {
    expect(await complaints("static.ts", module)).toBe("");
  });

  it("with module node16 imports it by `await import` alone, as docs/guide.md says", async () => {
    expect(await complaints("static.ts", "node16")).toMatch(/TS1479/);
    expect(await complaints("dynamic.ts", "node16")).toBe("");
  });
});
