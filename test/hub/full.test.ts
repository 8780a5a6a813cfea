import { execFileSync } from "node:child_process";
import { afterEach, expect, test } from "vitest";
import { connectToHub } from "../../src/hub/client/index.js";
import { HUB_LIMITS } from "../../src/hub/machine/limits.js";
import { Cli } from "../commands/cli.js";
import { eventually } from "../fixtures/eventually.js";
import { RawClient } from "./raw-client.js";

const { clientsMax } = HUB_LIMITS;
/** Connections that are dialled at the same time. */
const AT_ONCE = 200;
/** Of one process: Node takes what the hard limit allows. */
const filesMax = Number(execFileSync("sh", ["-c", "ulimit -H -n"], { encoding: "utf8" })) || Infinity;

const clients: RawClient[] = [];
let start: Cli;
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  start.kill("SIGKILL");
  await start.ended();
});

test.skipIf(filesMax < clientsMax + 200)(
  "a hub takes 10,000 clients, refuses the next with a reason, and takes one when one has left",
  async () => {
    expect(clientsMax).toBe(10_000);
    // In a process of its own, as users start it: each process has half of the sockets.
    start = new Cli(["hub", "start", "--port", "0", "--no-mdns", "--json"], { deadlineMs: 60_000 });
    await start.says(/"ready"/);
    const { address } = JSON.parse(start.stdout) as { address: string };
    const port = Number(address.split(":")[1]);
    const ids = new Set<number>();
    let dialled = 0;
    const lane = async (): Promise<void> => {
      while (dialled++ < clientsMax) {
        const client = await RawClient.connect(port);
        clients.push(client);
        ids.add(await client.identity());
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    expect(ids.size).toBe(clientsMax);

    await expect(connectToHub(address)).rejects.toMatchObject({ code: "tooManyClients" });
    const old = await RawClient.connect(port);
    await expect(old.identity()).rejects.toThrow("closed");
    await eventually(() => start.stderr.match(/clientsMax/g)?.length === 2);

    clients.pop()!.close();
    const late = await eventually(async () => await connectToHub(address, { reconnect: false }));
    expect(await late.list()).toHaveLength(clientsMax - 1);
    await late.close();
  },
);
