import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, test } from "vitest";
import type { StartedNode } from "../../src/node/index.js";
import { BadMember } from "../fixtures/bad-member.js";
import { eventually } from "../fixtures/eventually.js";
import { recordBy } from "../fixtures/hello.js";
import { Nodes } from "../fixtures/nodes.js";

test.concurrent.each<[string, (member: BadMember, friend: StartedNode, cluster: string) => Uint8Array]>([
  [
    "says goodbye in the name of another",
    (member, friend, cluster) =>
      recordBy({ id: friend.id, sign: member.sign }, cluster, { left: true }).bytes,
  ],
  [
    "says that another has no links",
    (member, friend, cluster) => recordBy({ id: friend.id, sign: member.sign }, cluster).bytes,
  ],
  ["is signed for another cluster", (member) => recordBy(member, "another-cluster").bytes],
  ["has an incarnation that fits into no digest", (member) => member.record({ incarnation: 2 ** 50 }).bytes],
])("a member that sends a record that %s is cut, and nobody believes it", async (_what, make) => {
  await using nodes = new Nodes();
  const [node, friend] = (await nodes.startMesh(2)) as [StartedNode, StartedNode];
  await using member = await BadMember.join(node, nodes.cluster);
  const records = [make(member, friend, nodes.cluster)];
  member.send({ t: "records", records, lost: new Uint8Array(), want: new Uint8Array() });
  await eventually(async () => (await stateOf(node, member))?.state === "lost");
  expect(await stateOf(node, member)).toMatchObject({ reason: "badFrame" });
  expect(await stateOf(node, friend)).toMatchObject({ state: "connected", linked: true });
  const { receipt } = await node.post({ raw: "life goes on" }, { wait: 1, timeoutMs: 20_000 });
  expect(receipt).toMatchObject({ complete: true, holders: [{ id: friend.id }] });
});

test("of addresses that a member names none is dialled by name, and one target rarely, whoever is said to be there", async () => {
  await using nodes = new Nodes();
  const node = await nodes.start({ mdns: false });
  await using member = await BadMember.join(node, nodes.cluster);
  await using named = await Victim.listen();
  await using numbered = await Victim.listen();
  const beganMs = performance.now();
  const ids = ["12D3KooW-a", "12D3KooW-b", "12D3KooW-c", "12D3KooW-d"];
  const refer = (round: number, addresses: readonly string[]) =>
    member.send({ t: "refer", release: false, peers: ids.map((id) => ({ id: `${id}${round}`, addresses })) });
  refer(0, [`localhost:${named.port}`, `/dns4/localhost/tcp/${named.port}`, `127.0.0.1:${named.port}`]);
  for (let round = 1; round <= 20; round++) refer(round, [`/ip4/127.0.0.1/tcp/${numbered.port}`]);
  await eventually(() => numbered.connections >= 3);
  expect(named.connections).toBe(0);
  const seconds = (performance.now() - beganMs) / 1_000;
  expect(numbered.connections).toBeLessThanOrEqual(3 + Math.ceil(seconds / 2));
});

/** Takes connections and hangs up. */
class Victim implements AsyncDisposable {
  connections = 0;
  readonly #server = createServer((socket) => {
    this.connections++;
    socket.on("error", () => {}).destroy();
  });

  static async listen(): Promise<Victim> {
    const victim = new Victim();
    victim.#server.listen(0, "127.0.0.1");
    await once(victim.#server, "listening");
    return victim;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    await once(this.#server, "close");
  }
}

async function stateOf(node: StartedNode, { id }: { readonly id: string }) {
  return (await node.peers()).find((peer) => peer.id === id);
}
