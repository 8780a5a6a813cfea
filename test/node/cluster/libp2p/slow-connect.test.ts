import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { Lan, type Machine, whyNoLan } from "../../../fixtures/lan.js";

const noLan = whyNoLan();

describe.skipIf(noLan)(`libp2p: a slow network${noLan ? ` (${noLan})` : ""}`, () => {
  // The system sends a SYN again after 1 s; the next after 2 s or, from Linux 6.5 on, 1 s more; and one 3 s after the first.
  test("a connect whose SYNs are lost for 2.5 s comes up", async () => {
    await using lan = await Lan.open(1, 1);
    const [[near], [far]] = lan.rooms as unknown as [[Machine], [Machine]];
    const listener = new Program(far);
    const dialler = new Program(near);
    try {
      const { port } = await listener.says("open");
      const address = `${far.address}:${port}`;
      // Once, so that both machines know each other's hardware address.
      dialler.tell({ attempt: 1, addresses: [address] });
      expect(await dialler.says("answer")).toMatchObject({ attempt: 1, up: true });
      await lan.cut();
      dialler.tell({ attempt: 2, addresses: [address] });
      setTimeout(() => void lan.heal(), 2_600);
      expect(await dialler.says("answer")).toMatchObject({ attempt: 2, up: true });
    } finally {
      listener.stop();
      dialler.stop();
    }
  });
});

type Said = { readonly says: string; readonly port?: number };

/** An engine on a machine; it dials what it is told, a line of JSON each, and says what comes of it. */
class Program {
  readonly #child: ChildProcess;
  readonly #said: Said[] = [];
  #more = Promise.withResolvers<void>();

  constructor({ under }: Machine) {
    const [program, ...args] = [...under, process.execPath, "--input-type=module", "-e", SOURCE];
    this.#child = spawn(program!, args, { stdio: ["pipe", "pipe", "inherit"] });
    let rest = "";
    this.#child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      this.#said.push(...lines.map((line) => JSON.parse(line) as Said));
      this.#more.resolve();
      this.#more = Promise.withResolvers<void>();
    });
  }

  tell(dial: object): void {
    this.#child.stdin!.write(`${JSON.stringify(dial)}\n`);
  }

  async says(what: string): Promise<Said> {
    for (;;) {
      const index = this.#said.findIndex(({ says }) => says === what);
      if (index >= 0) return this.#said.splice(index, 1)[0]!;
      await Promise.race([
        this.#more.promise,
        once(this.#child, "exit").then(() => Promise.reject(new Error("the program ended"))),
      ]);
    }
  }

  stop(): void {
    this.#child.kill("SIGKILL");
  }
}

const SOURCE = `
  import { createInterface } from "node:readline";
  import { openLibp2pCluster } from "${new URL("../../../../build/src/node/cluster/libp2p/index.js", import.meta.url)}";
  const say = (said) => console.log(JSON.stringify(said));
  const listener = {
    admits: () => true, linkDown() {}, frame() {}, queued() {},
    linkUp: ({ attempt }) => say({ says: "answer", attempt, up: true }),
    dialFailed: (attempt, reason) => say({ says: "answer", attempt, up: false, reason }),
  };
  const cluster = await openLibp2pCluster({ cluster: "test", listener });
  say({ says: "open", port: cluster.port });
  for await (const line of createInterface(process.stdin)) cluster.dial(JSON.parse(line));
`;
