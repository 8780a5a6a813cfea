import { existsSync, mkdtempSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { signerOf, verifySignature } from "../../src/node/replica/signature.js";
import { hubcast } from "./cli.js";
import { fakeNode } from "./fake-node.js";

const directory = mkdtempSync(join(tmpdir(), "hubcast-keys-"));
const STATUS = { name: "kitchen", id: "n1", cluster: "c", version: "0.1.0", fingerprint: "0f" };
const file = (name: string) => join(directory, name);

describe("keys generate", () => {
  it("writes a key that only its owner reads, and prints the public one", async () => {
    const { stdout, stderr, code } = await hubcast(["keys", "generate", "--out", file("a.pem")]);
    expect(stdout).toMatch(/^[0-9a-f]{64}\n$/);
    expect([stderr, code]).toEqual([expect.stringContaining("keep it secret"), 0]);
    expect(statSync(file("a.pem")).mode & 0o777).toBe(0o600);
    expect(readFileSync(file("a.pem"), "utf8")).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
    expect((await hubcast(["keys", "show", file("a.pem")])).stdout).toBe(stdout);
    const json = await hubcast(["keys", "show", file("a.pem"), "--json"]);
    expect(JSON.parse(json.stdout)).toEqual({ publicKey: stdout.trim() });
  });

  it("never writes over a file", async () => {
    writeFileSync(file("taken"), "precious");
    for (const command of ["generate", "cluster"]) {
      const { stdout, stderr, code } = await hubcast(["keys", command, "--out", file("taken")]);
      expect([stdout, stderr, code]).toEqual(["", expect.stringContaining("exists already"), 2]);
    }
    expect(readFileSync(file("taken"), "utf8")).toBe("precious");
  });

  it("writes through no link that somebody put there, also where it leads to nothing", async () => {
    symlinkSync(file("elsewhere"), file("link"));
    for (const command of ["generate", "cluster"]) {
      const { stderr, code } = await hubcast(["keys", command, "--out", file("link")]);
      expect([stderr, code]).toEqual([expect.stringContaining("exists already"), 2]);
    }
    expect(existsSync(file("elsewhere"))).toBe(false);
  });
});

describe("keys show", () => {
  it.each([
    ["a text", "hello"],
    ["a key of another kind", "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----"],
  ])("says that %s is no key", async (_what, text) => {
    writeFileSync(file("other"), text);
    const { stdout, stderr, code } = await hubcast(["keys", "show", file("other")]);
    expect([stdout, stderr, code]).toEqual(["", expect.stringContaining("holds no Ed25519 key"), 2]);
  });
});

describe("keys cluster", () => {
  it("prints a key, another one each time", async () => {
    const [one, two] = await Promise.all([hubcast(["keys", "cluster"]), hubcast(["keys", "cluster"])]);
    expect(one.stdout).toMatch(/^[0-9a-f]{64}\n$/);
    expect(two.stdout).not.toBe(one.stdout);
  });

  it("writes it to a file instead, and then does not print it", async () => {
    const { stdout, code } = await hubcast(["keys", "cluster", "--out", file("cluster.key")]);
    expect([stdout, code]).toEqual(["", 0]);
    expect(readFileSync(file("cluster.key"), "utf8")).toMatch(/^[0-9a-f]{64}\n$/);
    expect(statSync(file("cluster.key")).mode & 0o777).toBe(0o600);
  });
});

describe("broadcast post --sign-key", () => {
  it("signs what it posts, and stamps it", async () => {
    const { stdout } = await hubcast(["keys", "generate", "--out", file("author.pem")]);
    await using node = await fakeNode(({ method }) =>
      method === "POST"
        ? { status: 201, body: { id: "x", digest: "00", timestampMs: 1, status: "accepted", visible: "00" } }
        : { body: STATUS },
    );
    const args = ["broadcast", "post", "döner", "--sign-key", file("author.pem"), "--url", node.url];
    expect((await hubcast(args)).code).toBe(0);
    const item = JSON.parse(node.calls.find(({ method }) => method === "POST")!.body);
    expect(verifySignature(item)).toBe(true);
    expect(`${signerOf(item.signature)}\n`).toBe(stdout);
    expect(Math.abs(Date.now() - item.timestampMs)).toBeLessThan(60_000);
    expect(item.id).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("says that a file is no key, without asking a node", async () => {
    writeFileSync(file("no-key"), "0123");
    await using node = await fakeNode(() => ({ status: 201, body: {} }));
    const args = ["broadcast", "post", "x", "--sign-key", file("no-key"), "--url", node.url];
    const { stderr, code } = await hubcast(args);
    expect([stderr, code]).toEqual([expect.stringContaining("hubcast keys generate"), 2]);
    expect(node.calls).toEqual([]);
  });
});

it("broadcast list shows the key of who signed, and nothing for who did not", async () => {
  const item = { id: "a", raw: "text", timestampMs: 0, digest: "00" };
  const signed = { ...item, signature: `ed25519:${"0123456789abcdef".repeat(4)}:${"00".repeat(64)}` };
  const lines = [signed, { ...item, signature: `sha256:${"00".repeat(32)}` }];
  const status = { name: "kitchen", id: "n1", cluster: "c", version: "0.1.0", fingerprint: "0f" };
  await using node = await fakeNode(({ path }) => ({
    body: path === "/v1/items" ? { items: lines } : status,
  }));
  const { stdout } = await hubcast(["broadcast", "list", "--url", node.url]);
  expect(stdout.split("\n").map((line) => line.slice(21))).toEqual([
    "a  key 0123456789ab  text",
    "a  text",
    "",
  ]);
  const json = await hubcast(["broadcast", "list", "--json", "--url", node.url]);
  expect(JSON.parse(json.stdout.split("\n")[0]!)).toMatchObject({ signature: signed.signature });
});
