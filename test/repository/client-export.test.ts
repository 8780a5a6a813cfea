import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { rolldown } from "rolldown";
import { describe, expect, it } from "vitest";
import { VERSION } from "../../src/core/version.js";
import { fakeNode } from "../commands/fake-node.js";
import { FakeServedNode } from "../fixtures/fake-served-node.js";
import { ROOT, readSources } from "./architecture.js";

const directory = mkdtempSync(join(tmpdir(), "hubcast-bundle-"));

/** Bundles a program with the library into one file, in a directory where nothing is installed. */
async function bundled(name: string, program: string): Promise<{ file: string; files: string[] }> {
  const [input, file] = [join(directory, `${name}.js`), join(directory, `${name}.mjs`)];
  writeFileSync(input, program);
  const alias = {
    "hubcast/client": join(ROOT, "dist/client.js"),
    hubcast: join(ROOT, "dist/index.js"),
  };
  const bundle = await rolldown({ input, platform: "node", resolve: { alias } });
  const { output } = await bundle.write({ file, format: "esm", minify: true, codeSplitting: false });
  const files = output[0].moduleIds.map((id) => id.replace(/^.*[\\/]/, ""));
  return { file, files };
}

async function printed(file: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [file, ...args], { cwd: directory });
  return stdout;
}

describe("a bundler", () => {
  it("makes of hubcast/client one file of less than 1 MB: undici, and no node, hub or terminal", async () => {
    const { file, files } = await bundled(
      "client",
      `import { connectToHub, connectToNode, HubcastError } from "hubcast/client";
      const node = await connectToNode(process.argv[2]);
      for await (const item of node.list()) console.log(item.raw);
      await node.close();
      await connectToHub("127.0.0.1:1").catch((error) => console.log(error instanceof HubcastError, error.code));`,
    );
    expect(files).toEqual(expect.arrayContaining(["client.js", "node-client.js", "undici.js"]));
    expect(files.filter((name) => /^(command|fastify|ink|libp2p|nats)\.js$/.test(name))).toEqual([]);
    expect(statSync(file).size).toBeLessThan(1_000_000);
    const item = { id: "1", raw: "hello", signature: "sha256:00", timestampMs: 1, digest: "00" };
    await using node = await fakeNode(({ path }) => ({
      body: path === "/v1/status" ? new FakeServedNode().statusNow() : { items: [item] },
    }));
    expect(await printed(file, node.url)).toBe("hello\ntrue unreachable\n");
  });

  it("makes of hubcast a node in memory", async () => {
    const { file } = await bundled(
      "node",
      `import { startNode } from "hubcast";
      const node = await startNode({ mdns: false, p2p: { hosts: ["127.0.0.1"] } });
      console.log((await node.post({ raw: "x" })).status, (await node.status()).version);
      await node.close();`,
    );
    expect(await printed(file)).toBe(`accepted ${VERSION}\n`);
  });
});

it("no module reads import.meta while it is loaded: a bundle in CommonJS has none", () => {
  const readers = readSources(["src"]).filter(({ text }) => /^\S.*\bimport\.meta\b/m.test(text));
  expect(readers.map(({ path }) => path)).toEqual([]);
});

it("a CommonJS program requires both", () => {
  const script =
    'console.log(typeof require("hubcast/client").connectToNode, typeof require("hubcast").startNode)';
  expect(execFileSync(process.execPath, ["-e", script], { cwd: ROOT, encoding: "utf8" })).toBe(
    "function function\n",
  );
});

it("knows the version of its package.json", () => {
  expect(JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"))).toMatchObject({ version: VERSION });
});
