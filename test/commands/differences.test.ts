import { randomBytes } from "node:crypto";
import { cp, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { agreementOf } from "../../src/cli/agreement.js";
import { diagnose } from "../../src/cli/diagnosis.js";
import type { NodeStatus, Peer, Reason } from "../../src/node/broadcast.js";
import type { NodeOptions, StartedNode } from "../../src/node/index.js";
import { plainLines } from "../../src/tui/index.js";
import { nodeRowsOf, verdictsOf } from "../../src/tui/snapshot.js";
import { eventually } from "../fixtures/eventually.js";
import { NatsServer, natsMissing } from "../fixtures/nats-server.js";
import { NodeProcess } from "../fixtures/node-process.js";
import { meshed, Nodes } from "../fixtures/nodes.js";
import { RoguePeer } from "../fixtures/rogue-peer.js";
import { noFakeClock, WallClock } from "../fixtures/wall-clock.js";
import { NatsNodes } from "../node/nats/ground.js";
import { hubcast } from "./cli.js";

/**
 * Every way in which a node is alone, differs from others or is not well, and all places that tell of it: they must tell
 * the same, by name, on both sides.
 */
let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "hubcast-differences-"));
});

type AskedNode = Pick<StartedNode, "id" | "name" | "url"> & { status(): Promise<NodeStatus> };

/** A node that must tell of the reason, and the name that it must say. */
interface Teller {
  readonly node: AskedNode;
  readonly names: string;
}

type Scene = (
  start: (options?: NodeOptions) => Promise<StartedNode>,
  cluster: string,
) => Promise<readonly Teller[]>;

const QUIET = { mdns: false } as const;
const at = (node: StartedNode) => [node.peerAddresses[0]!];

/** Two nodes that are linked; each tells of the other. */
const pair =
  (here: NodeOptions, there: NodeOptions): Scene =>
  async (start) => {
    const kitchen = await start({ ...QUIET, name: "kitchen", ...here });
    const attic = await start({ ...QUIET, name: "attic", peers: at(kitchen), ...there });
    await meshed([kitchen, attic]);
    return [
      { node: kitchen, names: "attic" },
      { node: attic, names: "kitchen" },
    ];
  };

const rogues: RoguePeer[] = [];
afterAll(() => Promise.all(rogues.map((rogue) => rogue[Symbol.asyncDispose]())));

const otherVersion: Scene = async (start, cluster) => {
  const node = await start({ ...QUIET, name: "kitchen" });
  const rogue = await RoguePeer.meet(at(node)[0]!, cluster, { v: 99 });
  rogues.push(rogue);
  // It hears which version this node has, so it can tell of it as well.
  await eventually(() => rogue.heard.some(({ t }) => t === "hello"));
  return [{ node, names: "rogue" }];
};

/** So many peers say that it is ten minutes later. */
const otherTime =
  (peers: number, names: string): Scene =>
  async (start, cluster) => {
    const node = await start({ ...QUIET, name: "kitchen" });
    for (let count = 0; count < peers; count++)
      rogues.push(await RoguePeer.meet(at(node)[0]!, cluster, { nowMs: Date.now() + 600_000 }));
    return [{ node, names }];
  };

const processes: AsyncDisposable[] = [];
afterAll(() => Promise.all(processes.map((node) => node[Symbol.asyncDispose]())));

/** A node in a process of its own, for the sake of its wall clock. */
async function startWith(
  clock: WallClock,
  name: string,
  flags: readonly string[],
): Promise<NodeProcess & { name: string }> {
  const node = await NodeProcess.start({
    env: clock.env,
    flags: ["--port", "0", "--no-mdns", "--name", name, ...flags],
  });
  processes.push(node);
  return Object.assign(node, { name });
}

const LOOPBACK = ["--p2p-host", "127.0.0.1"] as const;

const clockThatJumps: Scene = async () => {
  const clock = new WallClock(root, "jumps");
  const node = await startWith(clock, "kitchen", [...LOOPBACK, "--data-dir", join(root, "jumps")]);
  clock.set(25 * 3_600_000);
  return [{ node, names: "" }];
};

/** The node and its peer tell of it: their sets are not the same. */
const clockThatWasAhead: Scene = async (start, cluster) => {
  const clock = new WallClock(root, "ahead", 600_000);
  const flags = [...LOOPBACK, "--data-dir", join(root, "ahead"), "--cluster", cluster];
  const before = await startWith(clock, "kitchen", flags);
  await before.post({ raw: "posted ahead of time" });
  await before.stop();
  clock.set(0);
  const kitchen = await startWith(clock, "kitchen", flags);
  const attic = await start({ ...QUIET, name: "attic", peers: [kitchen.peerAddresses[0]!] });
  return [
    { node: kitchen, names: "kitchen holds 1 item stamped ahead" },
    { node: attic, names: "kitchen holds 1 item stamped ahead" },
  ];
};

/** Behind a broker, where nobody pings anybody: the first of so many nodes is an hour ahead. */
const clocksBehindNats =
  (names: readonly string[], tellers: readonly Pick<Teller, "names">[]): Scene =>
  async (_start, cluster) => {
    const server = await NatsServer.start();
    const nodes = await Promise.all(
      names.map((name, index) =>
        startWith(new WallClock(root, `${cluster}-${name}`, index === 0 ? 3_600_000 : 0), name, [
          ...["--engine", server.url, "--cluster", cluster],
        ]),
      ),
    );
    processes.push(server);
    return tellers.map((teller, index) => ({ ...teller, node: nodes[index]! }));
  };

const otherClusterKey: Scene = async (start) => {
  const kitchen = await start({ name: "kitchen", clusterKey: randomBytes(32) });
  const attic = await start({ name: "attic", clusterKey: randomBytes(32) });
  return [
    { node: kitchen, names: "attic" },
    { node: attic, names: "kitchen" },
  ];
};

/** A copied data directory: both twins tell, and whoever is linked with them. */
const twins =
  (options: NodeOptions): Scene =>
  async (start) => {
    const [dataDir, copied] = [0, 1].map((n) => join(root, `${Math.random()}-${n}`)) as [string, string];
    await (await start({ ...QUIET, dataDir })).close();
    await cp(dataDir, copied, { recursive: true });
    const hall = options.mdns === false ? await start({ ...QUIET, name: "hall" }) : undefined;
    const more = { ...options, ...(hall && { peers: at(hall) }) };
    const kitchen = await start({ ...more, dataDir, name: "kitchen" });
    if (hall) await meshed([hall, kitchen]);
    const attic = await start({ ...more, dataDir: copied, name: "attic" });
    return [
      { node: kitchen, names: "attic" },
      { node: attic, names: "kitchen" },
      ...(hall ? [{ node: hall, names: "(kitchen|attic)" }] : []),
    ];
  };

const damagedStore: Scene = async (start) => {
  const dataDir = join(root, "damaged");
  const before = await start({ ...QUIET, dataDir });
  await before.post({ raw: "the kettle is on" });
  await before.close();
  const database = new DatabaseSync(join(dataDir, "items.sqlite"));
  database.exec("UPDATE items SET raw = 'the kettle is off'");
  database.close();
  return [{ node: await start({ ...QUIET, dataDir, name: "kitchen" }), names: "" }];
};

const fullNode: Scene = async (start) => {
  const node = await start({ ...QUIET, name: "kitchen", itemsMax: 1 });
  await node.post({ raw: "the kettle is on" });
  return [{ node, names: "" }];
};

const fullStream: Scene = async (start, cluster) => {
  const server = await NatsServer.start();
  processes.push(server);
  const node = await start({ ...QUIET, name: "kitchen", engine: server.url });
  const stream = `hubcast-nodes-${cluster}`;
  await new NatsNodes(server).manage((jsm) => jsm.streams.update(stream, { max_bytes: 1_000 }));
  await expect(node.post({ raw: "x".repeat(2_000) })).rejects.toMatchObject({ code: "natsFull" });
  return [{ node, names: "" }];
};

const SCENES: readonly (readonly [reason: Reason, how: string, scene: Scene])[] = [
  ["retentionDiffers", "beside one of another retention", pair({}, { retentionMs: 3_600_000 })],
  ["policyDiffers", "beside one of another policy", pair({}, { require: ["ed25519"] })],
  ["versionDiffers", "met by one of another version", otherVersion],
  ["clusterKeyDiffers", "beside one of another cluster key", otherClusterKey],
  ["twin", "beside its twin, as a third node tells", twins(QUIET)],
  ["twin", "beside its twin, as multicast DNS tells", twins({})],
  [
    "noPeer",
    "whose peers are not reached",
    async (start) => [
      { node: await start({ ...QUIET, name: "kitchen", peers: ["127.0.0.1:1"] }), names: "127.0.0.1:1" },
    ],
  ],
  ["itemsLeftOut", "whose store is damaged", damagedStore],
  ["nodeFull", "at its limit of items", fullNode],
  [
    "natsAway",
    "without its NATS server",
    async (start) => [
      {
        node: await start({ ...QUIET, name: "kitchen", engine: "nats://127.0.0.1:1" }),
        names: "127.0.0.1:1",
      },
    ],
  ],
  ["clocksDiffer", "beside one of another time", otherTime(1, "rogue")],
  ["clockSkew", "beside two of another time", otherTime(2, "")],
  ...(noFakeClock
    ? []
    : ([
        ["clockJumped", "whose wall clock jumps", clockThatJumps],
        ["itemsAhead", "whose wall clock was ahead", clockThatWasAhead],
      ] as const)),
  ...(natsMissing ? [] : ([["natsFull", "whose NATS server is full", fullStream]] as const)),
  ...(noFakeClock || natsMissing
    ? []
    : ([
        [
          "clocksDiffer",
          "on NATS, beside one of another time",
          clocksBehindNats(["kitchen", "attic"], [{ names: "attic" }, { names: "kitchen" }]),
        ],
        [
          "clockSkew",
          "on NATS, beside two of another time",
          clocksBehindNats(["kitchen", "attic", "hall"], [{ names: "kitchen" }]),
        ],
      ] as const)),
];

describe("a node", () => {
  it.concurrent.each(SCENES)(
    "with the reason %s, %s: all that tell of it tell the same",
    { timeout: 90_000 },
    async (reason, _how, scene) => {
      await using nodes = new Nodes();
      const start = (options: NodeOptions = {}) => nodes.start({ http: { port: 0 }, ...options });
      const tellers = await scene(start, nodes.cluster);
      for (const { node, names } of tellers) {
        await eventually(async () => (await node.status()).reasons.includes(reason), 60_000);
        // Once more where something changed between two questions: twins take each other's place at a third node.
        await eventually(() => tellsTheSame(node, reason, names).then(() => true), 60_000);
      }
    },
  );

  it("alone is ready, and nobody says that it agrees with others", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start({ ...QUIET, http: { port: 0 } });
    await eventually(async () => (await node.status()).state === "ready");
    const told = await tales(node);
    expect(told.status).toMatchObject({ reasons: [], peers: 0, members: 1 });
    expect(told.check).toMatchObject({ code: 0, document: { agreed: true, alone: true } });
    expect(told.verdicts).toEqual(["alone"]);
    expect(told.doctor).toEqual([]);
    expect(told.metrics).not.toMatch(/^hubcast_degraded\{.*\} 1$/m);
    const { receipt } = await node.post({ raw: "is anybody there" }, { wait: "all" });
    expect(receipt).toMatchObject({ complete: false, alone: true, holders: [] });
  });
});

async function tellsTheSame(node: AskedNode, reason: Reason, names: string): Promise<void> {
  const told = await tales(node);
  const name = new RegExp(names);

  expect(told.status.state).toBe("degraded");
  const detail = told.status.details.find(({ code }) => code === reason)!;
  expect(detail.message).toMatch(name);
  expect(detail.advice).toMatch(/\.$/);
  const isOfPeer = detail.peer !== undefined && detail.peer.id !== node.id;
  if (isOfPeer)
    expect(told.peers.find(({ id }) => id === detail.peer!.id)).toMatchObject({ reasons: [reason] });
  if (reason === "noPeer") expect(told.peers).toMatchObject([{ name: names, state: "unreached" }]);

  expect(told.check.code).toBe(6);
  expect(told.check.document).toMatchObject({ agreed: false, reasons: told.status.reasons });
  expect(told.check.document.error.message).toMatch(name);
  expect(told.check.document.error.message).toContain(reason);

  expect(told.top).toMatch(new RegExp(`degraded \\(.*${reason}`));
  expect(told.verdicts).not.toContain("= agree");
  expect(told.doctor).toContain(`${node.name} is degraded: ${detail.message}`);
  expect(told.metrics).toContain(`hubcast_degraded{reason="${reason}"} 1`);
  for (const other of told.status.reasons)
    expect(told.metrics).toContain(`hubcast_degraded{reason="${other}"} 1`);
  expect(told.metrics.match(/^hubcast_degraded\{.*\} 1$/gm)).toHaveLength(told.status.reasons.length);
}

/** The account of a node in each place. */
async function tales(node: AskedNode) {
  const get = async (path: string) => await fetch(`${node.url}${path}`);
  const checked = hubcast(["broadcast", "check", "--json", "--url", node.url!], { deadlineMs: 60_000 });
  const status = (await (await get("/v1/status")).json()) as NodeStatus;
  const peers = (await (await get("/v1/peers")).json()) as Peer[];
  const rate = { perSecond: 0, history: [] };
  const rates = { posts: rate, gossipIn: rate, gossipOut: rate };
  const rows = nodeRowsOf([{ url: node.url!, isNamed: true, status, peers, fault: undefined, rates }]);
  const addresses = ["127.0.0.1:4001"];
  const seen = { type: "node", name: node.name, id: node.id, version: status.version, addresses } as const;
  const findings = diagnose({
    ...{ nodeVersion: "24.0.0", interfaces: [{ name: "eth0", isLoopback: false }], ports: [] },
    servers: [{ seen: { ...seen, cluster: status.cluster }, roundTripMs: 1, status, peers }],
  });
  const { stdout, code } = await checked;
  return {
    status,
    peers,
    check: {
      code,
      document: JSON.parse(stdout) as ReturnType<typeof agreementOf> & { error: { message: string } },
    },
    top: plainLines({ atMs: 0, nodes: rows, hubs: [], items: [], events: [] }).join("\n"),
    verdicts: verdictsOf(rows).map(({ text }) => text),
    doctor: findings.filter(({ verdict }) => verdict !== "ok").map(({ text }) => text),
    metrics: await (await get("/metrics")).text(),
  };
}
