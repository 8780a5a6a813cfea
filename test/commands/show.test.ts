import { describe, expect, it } from "vitest";
import { connectToNode } from "../../src/node/client.js";
import { newSigningKey, readSigningKey, signItem } from "../../src/node/keys.js";
import { BadMember } from "../fixtures/bad-member.js";
import { eventually } from "../fixtures/eventually.js";
import { agreed, meshed, Nodes } from "../fixtures/nodes.js";
import { hubcast } from "./cli.js";

const QUIET = { mdns: false } as const;

describe("broadcast show", () => {
  it("shows an item whole, its rivals and its holders; the rest of a lost race can be told by digest", async () => {
    await using nodes = new Nodes();
    const [a, b] = await Promise.all([
      nodes.start({ ...QUIET, name: "a", http: { port: 0 } }),
      nodes.start({ ...QUIET, name: "b" }),
    ]);
    const item = { id: "lunch", raw: "at noon\nin the hall" };
    const posts = [await a.post(item), await b.post(item)];
    expect(posts.every(({ visible, digest }) => visible === digest)).toBe(true);
    const bridge = await nodes.start({ ...QUIET, peers: [a.peerAddresses[0]!, b.peerAddresses[0]!] });
    await meshed([a, b, bridge]);
    await agreed([a, b, bridge], 1);
    const [first, second] = posts.sort(
      (one, other) => one.timestampMs - other.timestampMs || (one.digest < other.digest ? -1 : 1),
    );

    await using client = await connectToNode(a.url!);
    for (const node of [a, b, bridge, client]) {
      const shown = await node.show("lunch");
      expect(shown).toMatchObject({ ...item, digest: first!.digest, visible: first!.digest });
      expect(shown!.rivals.map(({ digest }) => digest)).toEqual([second!.digest]);
      expect(await node.post(item)).toMatchObject({ status: "held", visible: first!.digest });
      expect(Object.keys((await node.get("lunch"))!)).not.toContain("rivals");
    }
    const { receipt } = (await client.show("lunch", { holders: true, timeoutMs: 10_000 }))!;
    expect(receipt).toMatchObject({ of: 2, complete: true, missing: [], refused: [] });

    const at = ["--url", a.url!];
    const [human, raw, json, none] = await Promise.all([
      hubcast(["broadcast", "show", "lunch", "--holders", "--timeout", "10s", ...at]),
      hubcast(["broadcast", "show", "lunch", "--raw", ...at]),
      hubcast(["broadcast", "show", "lunch", "--json", ...at]),
      hubcast(["broadcast", "show", "dinner", ...at]),
    ]);
    expect(human.stdout).toMatch(new RegExp(`^digest +${first!.digest}$`, "m"));
    expect(human.stdout).toMatch(new RegExp(`^rivals +${second!.digest}, .*, sha256$`, "m"));
    expect(human.stdout).toMatch(/^scheme +sha256$/m);
    expect(human.stdout).toMatch(/^topic +none$/m);
    expect(human.stdout).toMatch(/^author +not named/m);
    expect(human.stdout).toMatch(/^holders +2 of 2 others: (b, \S+|\S+, b)$/m);
    expect(human.stdout).toMatch(/\n\nat noon\nin the hall\n$/);
    expect([raw.stdout, raw.code]).toEqual([item.raw, 0]);
    expect(JSON.parse(json.stdout)).toEqual(await a.show("lunch"));
    expect([none.stdout, none.code]).toEqual(["", 4]);
    expect(none.stderr).toContain('no visible item has the id "dinner"');
  });

  it("tells those that hold it from those that lack it, and those that were not reached", async () => {
    await using nodes = new Nodes();
    const a = await nodes.start({ ...QUIET, name: "a", http: { port: 0 } });
    const peers = [a.peerAddresses[0]!];
    const b = await nodes.start({ ...QUIET, name: "b", peers });
    const full = await nodes.start({ ...QUIET, name: "full", itemsMax: 1, peers });
    await meshed([a, b, full]);
    await a.post({ id: "first", raw: "x" });
    await agreed([a, b, full], 1);
    const silent = await BadMember.join(a, nodes.cluster);
    await a.post({ id: "alerts/disk/1", raw: "full" }, { wait: 1, timeoutMs: 30_000 });

    await using client = await connectToNode(a.url!);
    const asked = { holders: true, timeoutMs: 5_000 };
    const at = ["--holders", "--timeout", "5s", "--url", a.url!];
    const [here, there, human] = await Promise.all([
      a.show("alerts/disk/1", asked),
      client.show("alerts/disk/1", asked),
      hubcast(["broadcast", "show", "alerts/disk/1", ...at]),
    ]);
    for (const { topic, scheme, author, receipt } of [here!, there!]) {
      expect([topic, scheme, author]).toEqual(["alerts/disk", "sha256", undefined]);
      const names = (members: readonly { name: string }[]) => members.map(({ name }) => name);
      expect(names(receipt!.holders)).toEqual(["b"]);
      expect(names(receipt!.lacking)).toEqual(["full"]);
      expect(receipt!.missing).toEqual([{ id: silent.id, name: "bad" }]);
      expect(receipt).toMatchObject({ of: 3, complete: false, refused: [], lost: [] });
    }
    expect(human.stdout).toMatch(/^topic +alerts\/disk$/m);
    expect(human.stdout).toMatch(/^holders +1 of 3 others: b\n +lacking it: full\n +not reached: bad\n/m);

    await silent[Symbol.asyncDispose]();
    await eventually(async () => (await a.peers()).some(({ state }) => state === "lost"), 30_000);
    expect((await a.show("alerts/disk/1", asked))!.receipt).toMatchObject({
      of: 2,
      missing: [],
      lost: [{ id: silent.id, name: "bad" }],
    });
  });

  it("names the author", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start({ ...QUIET, http: { port: 0 } });
    const key = readSigningKey(newSigningKey())!;
    await node.post(signItem({ id: "a", raw: "x" }, key));
    const { scheme, author } = (await node.show("a"))!;
    expect([scheme, author]).toEqual(["ed25519", expect.stringMatching(/^[0-9a-f]{64}$/)]);
    const { stdout } = await hubcast(["broadcast", "show", "a", "--url", node.url!]);
    expect(stdout).toMatch(new RegExp(`^author +ed25519 key ${author}$`, "m"));
  });

  it("shows who is alone, and nothing that acts on a terminal", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start({ ...QUIET, http: { port: 0 } });
    await node.post({ id: "..", raw: "\u001b[31mred" });
    const { stdout } = await hubcast(["broadcast", "show", "..", "--holders", "--url", node.url!]);
    expect(stdout).toMatch(/^holders +no other node is connected$/m);
    expect(stdout).toMatch(/^rivals +none$/m);
    expect(stdout).toMatch(/\n␛\[31mred\n$/);
  });
});
