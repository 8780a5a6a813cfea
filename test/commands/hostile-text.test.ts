import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { afterAll, describe, expect, it } from "vitest";
import { openDnsSd } from "../../src/discovery/index.js";
import {
  FRAME,
  identityFrame,
  presenceFrame,
  textFrame,
  welcomeFrame,
} from "../../src/hub/machine/frames.js";
import type { Item, NodeEvent, Reason, Receipt } from "../../src/node/broadcast.js";
import { nodeStatus, peer } from "../fixtures/node-answers.js";
import { Cli, hubcast } from "./cli.js";
import { type Answer, fakeNode } from "./fake-node.js";

/** Sets the clipboard and the title, clears the screen, begins a line of its own, and turns the order of reading. */
const HOSTILE = "\u001b]52;c;ZXZpbA==\u0007\u001b]0;t\u001b\\\u001b[2J\r\nFORGED\u009b31m\u202e\u2028\u007f";
const NOW_MS = Date.now();
const ITEM: Item = {
  id: HOSTILE,
  raw: `x${HOSTILE}`,
  signature: `sha256:${HOSTILE}`,
  timestampMs: NOW_MS,
  digest: HOSTILE,
};
const STATUS = nodeStatus({
  ...{ name: HOSTILE, id: HOSTILE, cluster: HOSTILE, version: HOSTILE, fingerprint: HOSTILE },
  ...{ engine: HOSTILE, reasons: [HOSTILE as Reason], peerAddresses: [HOSTILE, HOSTILE] },
  details: [
    { code: HOSTILE as Reason, message: HOSTILE, advice: HOSTILE, peer: { id: HOSTILE, name: HOSTILE } },
  ],
});
const PEER = peer(HOSTILE, { address: HOSTILE, reason: HOSTILE, reasons: [HOSTILE as Reason] });
const PROBLEM = {
  ...{ type: "about:blank", title: HOSTILE, status: 409, detail: `held ${HOSTILE}`, code: "conflict" },
  suggestions: [`Do this ${HOSTILE}`],
};
const RECEIPT: Receipt = {
  ...{ of: 3, complete: false, holders: [{ id: HOSTILE, name: HOSTILE, afterMs: 1 }] },
  ...{ missing: [{ id: HOSTILE, name: HOSTILE }], refused: [{ id: HOSTILE, name: HOSTILE }] },
};
const EVENTS: readonly NodeEvent[] = [
  { type: "item", eventId: "1-1", item: ITEM },
  { type: "replaced", eventId: "1-2", item: ITEM, previous: ITEM },
  { type: "peer", eventId: "1-3", peer: PEER },
];

/** Nothing but lines, each of characters that are read; none of them begun by somebody else. */
function expectOnlyText(...texts: readonly string[]): void {
  for (const text of texts) {
    expect(text.match(/(?!\n)[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u)).toBeNull();
    expect(text).not.toMatch(/^FORGED/m);
  }
}

function hostileNode(answers: Readonly<Record<string, Answer>> = {}) {
  const events = EVENTS.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
  return fakeNode(({ path, method }) => {
    if (answers[path]) return answers[path];
    if (path === "/v1/peers") return { body: [PEER] };
    if (path === "/v1/events") return { type: "text/event-stream", body: events, stream: () => {} };
    if (path === "/v1/items" && method === "GET") return { body: { items: [ITEM] } };
    if (path === "/v1/items") return { status: 409, type: "application/problem+json", body: PROBLEM };
    return { body: STATUS };
  });
}

describe("a node whose every text acts on terminals steers none through", () => {
  it.each([["post", "hello"], ["post", "hello", "--verbose"], ["list"], ["status"], ["peers"], ["check"]])(
    "broadcast %j",
    async (...words) => {
      await using node = await hostileNode();
      const args = ["broadcast", ...words, "--url", node.url];
      for (const more of [[], ["--json"]]) {
        const { stdout, stderr } = await hubcast([...args, ...more], { env: { FORCE_COLOR: "0" } });
        expectOnlyText(stdout, stderr);
        if (more.length > 0) JSON.parse(stdout);
        expect(stdout + stderr).toContain("52;c;");
      }
    },
  );

  it("shows what it said, in signs", async () => {
    await using node = await hostileNode();
    const { stderr, code } = await hubcast(["broadcast", "post", "hello", "--url", node.url]);
    expect(stderr).toMatch(/^error: held ␛\]52;c;ZXZpbA==␇.*\n {2}Do this ␛\]52;.*\n$/);
    expect(code).toBe(4);
  });

  it("broadcast post --wait, of whose receipt it has the names", async () => {
    const body = {
      ...{ id: HOSTILE, digest: "00", timestampMs: NOW_MS, status: "accepted", visible: "00" },
      receipt: RECEIPT,
    };
    await using node = await hostileNode({ "/v1/items": { status: 201, body } });
    const { stdout, stderr } = await hubcast(["broadcast", "post", "x", "--wait", "2", "--url", node.url]);
    expectOnlyText(stdout, stderr);
    expect(stdout + stderr).toContain("52;c;");
  });

  it("broadcast watch", async () => {
    await using node = await hostileNode();
    const watch = new Cli(["broadcast", "watch", "--verbose", "--url", node.url]);
    const ended = watch.ended().then(() => {});
    await Promise.race([watch.says(/^peer /m, "stderr").catch(() => {}), ended]);
    watch.kill("SIGINT");
    await ended;
    expectOnlyText(watch.stdout, watch.stderr);
    expect(watch.stdout).toContain("52;c;");
    expect(watch.stderr).toContain("52;c;");
  });

  it("top", async () => {
    await using node = await hostileNode();
    const env = { HUBCAST_MDNS_INTERFACE: "127.0.0.1" };
    const { stdout, stderr } = await hubcast(["top", "--once", "--url", node.url], {
      env,
      deadlineMs: 28_000,
    });
    expectOnlyText(stdout, stderr);
    expect(stdout).toContain("52;c;");
  });
});

describe("names that others announce by multicast DNS steer no terminal through", () => {
  // Of texts with control characters the browser takes none; what turns the order of reading is left to the output.
  const id = `hostile-${randomBytes(4).toString("hex")}`;
  const announced = openDnsSd({ interfaces: ["127.0.0.1"] }).then(async (dnsSd) => {
    const txt = { cluster: `${id}\u202e`, v: "\u2066 1", k: "\u202e", http: "9" };
    await dnsSd.advertise({ type: "_hubcast._tcp", name: `${id}\u202egpj`, id, port: 9, txt });
    return dnsSd;
  });
  afterAll(async () => (await announced).close());

  it.each([["discover"], ["doctor"], ["top", "--once"], ["discover", "--json"]])("%j", async (...words) => {
    await announced;
    const env = { HUBCAST_MDNS_INTERFACE: "127.0.0.1" };
    const { stdout, stderr } = await hubcast(words, { env });
    expectOnlyText(stdout, stderr);
    if (words[0] !== "top") expect(stdout).toContain(id);
  });
});

describe("a hub whose every text acts on terminals steers none through", () => {
  it.each([["listen", "--presence"], ["listen", "--presence", "--json"], ["who"], ["send", "--all", "x"]])(
    "hub %j",
    async (...words) => {
      const welcome = {
        ...{ version: 2, features: 1, id: 1, pingIntervalMs: 60_000, payloadBytesMax: 1_024_000 },
        name: HOSTILE,
      };
      await using server = await fakeHub([
        welcomeFrame(welcome),
        presenceFrame(2, HOSTILE.slice(0, 20)),
        identityFrame(1),
        textFrame(FRAME.error, 1, HOSTILE),
        textFrame(FRAME.goodbye, 1, HOSTILE),
      ]);
      const command = new Cli(["hub", ...words, "--addr", server.address]);
      if (words[0] === "listen") {
        // It dials again for good.
        await command.says(/52;c;/, words.includes("--json") ? "stdout" : "stderr");
        command.kill("SIGINT");
      }
      const { stdout, stderr } = await command.ended();
      expectOnlyText(stdout, stderr);
      expect(stdout + stderr).not.toBe("");
    },
  );
});

describe("a name that acts on terminals is refused where it is given, and shown in signs or escapes:", () => {
  it.each([
    ["hub", "start", "--name"],
    ["hub", "start", "--no-mdns", "--name", "a\u009bb"],
    ["hub", "who", "--name"],
    ["broadcast", "start", "--name"],
    ["broadcast", "start", "--cluster"],
  ])("%s %s %s", async (topic, command, ...words) => {
    const args = words.length > 1 ? words : [...words, HOSTILE.slice(0, 20)];
    const { stdout, stderr, code } = await hubcast([topic, command, ...args]);
    expectOnlyText(stdout, stderr);
    expect([stdout, stderr, code]).toEqual(["", expect.stringMatching(/^error: /), 2]);
  });
});

it("an error that nobody caught is shown in signs too", async () => {
  const thrown = `setTimeout(() => { throw new Error(${JSON.stringify(HOSTILE)}) }, 100)`;
  const { stdout, stderr, code } = await hubcast(["hub", "start", "--port", "0", "--no-mdns", "-v"], {
    nodeArgs: ["--import", `data:text/javascript,${encodeURIComponent(thrown)}`],
  });
  expectOnlyText(stdout, stderr);
  expect([stderr, code]).toEqual([expect.stringContaining("error: ␛]52;c;"), 1]);
});

/** Says these frames to whoever connects, and hangs up. */
async function fakeHub(frames: readonly Buffer[]) {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end(Buffer.concat(frames)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${(server.address() as { port: number }).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, "close");
    },
  };
}
