import { describe, expect, it } from "vitest";
import { connectToNode } from "../../src/node/client.js";
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
    expect(human.stdout).toMatch(/^author +not named/m);
    expect(human.stdout).toMatch(/^holders +2 of 2 others: (b, \S+|\S+, b)$/m);
    expect(human.stdout).toMatch(/\n\nat noon\nin the hall\n$/);
    expect([raw.stdout, raw.code]).toEqual([item.raw, 0]);
    expect(JSON.parse(json.stdout)).toEqual(await a.show("lunch"));
    expect([none.stdout, none.code]).toEqual(["", 4]);
    expect(none.stderr).toContain('no visible item has the id "dinner"');
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
