import { describe, expect, test } from "vitest";
import { eventually } from "../../fixtures/eventually.js";
import { NatsTrio, natsMissing } from "../../fixtures/nats-server.js";
import { NatsNodes, textsOf } from "./ground.js";

describe.skipIf(natsMissing)("three NATS servers", () => {
  test("the leader of the stream is killed under posts: nothing acknowledged is lost, and all nodes agree", async () => {
    await using trio = await NatsTrio.start();
    await using nodes = new NatsNodes(trio);
    const all = [await nodes.start({ nats: { replicas: 3 } })];
    all.push(await nodes.start(), await nodes.start());
    const accepted = new Set<string>();
    const refused = new Set<string>();
    let stopping = false;
    const posting = all.map(async (node, index) => {
      for (let n = 0; !stopping; n++) {
        const raw = `${index}-${n}`;
        await node.post({ id: raw, raw }).then(
          () => accepted.add(raw),
          ({ code }: { code: string }) => refused.add(code),
        );
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    await eventually(() => accepted.size > 100, 20_000);
    const leader = await nodes.manage(async (jsm) => (await jsm.streams.info(nodes.stream)).cluster!.leader!);
    await trio.named(leader).stop("SIGKILL");
    const before = accepted.size;
    await eventually(() => accepted.size > before + 300, 40_000);
    stopping = true;
    await Promise.all(posting);
    // Meanwhile refused, if at all, with a clear word.
    expect([...refused].filter((code) => code !== "natsAway")).toEqual([]);
    const expected = [...accepted];
    await eventually(async () => {
      const texts = await Promise.all(all.map(textsOf));
      return texts.every((one) => one.join() === texts[0]!.join() && hasAll(one, expected));
    }, 30_000);
    // The stream alone has it all, too.
    await Promise.all(all.map((node) => node.close()));
    const later = await nodes.start();
    await eventually(async () => hasAll(await textsOf(later), expected), 30_000);
  }, 120_000);
});

function hasAll(texts: readonly string[], expected: readonly string[]): boolean {
  const held = new Set(texts);
  return expected.every((text) => held.has(text));
}
