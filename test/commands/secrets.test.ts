import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { connectToHub } from "../../src/hub/client/index.js";
import { connectToNode } from "../../src/node/client.js";
import { eventually } from "../fixtures/eventually.js";
import { NatsServer, natsMissing } from "../fixtures/nats-server.js";
import { Cli, hubcast } from "./cli.js";

const TOKEN = "t0ken-7c1e5a3f";
const WRONG = "wr0ng-93ab07d2";
const CLUSTER_KEY = "5e".repeat(32);

const directory = mkdtempSync(join(tmpdir(), "hubcast-secrets-"));
const tokenFile = join(directory, "token");
const keyFile = join(directory, "cluster.key");
writeFileSync(tokenFile, `${TOKEN}\n`);
writeFileSync(keyFile, `${CLUSTER_KEY}\n`);

/** The process shows none of these to whoever reads its output, its log at its longest, or the list of processes. */
async function expectSilent(cli: Cli, ...secrets: readonly string[]): Promise<void> {
  const shown = ["cmdline", "environ", "comm"].map((name) =>
    readFileSync(`/proc/${cli.pid}/${name}`, "utf8"),
  );
  cli.kill("SIGTERM");
  const { stdout, stderr, code } = await cli.ended();
  expect(code).toBe(0);
  for (const secret of secrets) expect([...shown, stdout, stderr].join("\n")).not.toContain(secret);
}

describe.each(["json", "pretty"])("no secret is in what is logged at level trace, as %s, by", (format) => {
  const log = ["--log-level", "trace", "--log-format", format];

  it("a node", async () => {
    const args = [
      "broadcast",
      "start",
      "--port",
      "0",
      "--no-mdns",
      "--p2p-host",
      "127.0.0.1",
      "--json",
      "-v",
    ];
    const files = ["--token-file", tokenFile, "--cluster-key-file", keyFile];
    const cli = new Cli([...args, ...files, ...log]);
    await cli.says(/\n/);
    const { url } = JSON.parse(cli.stdout) as { url: string };
    const node = await connectToNode(url, { token: TOKEN });
    await node.post({ raw: "hello" });
    await node.close();
    await expect(connectToNode(url, { token: WRONG })).rejects.toMatchObject({ code: "unauthorized" });
    expect((await fetch(`${url}/v1/items?token=${WRONG}`)).status).toBe(401);
    await expectSilent(cli, TOKEN, WRONG, CLUSTER_KEY);
  });

  it("a hub", async () => {
    const args = ["hub", "start", "--port", "0", "--monitor-port", "0", "--no-mdns", "--json", "-v"];
    const cli = new Cli([...args, "--token-file", tokenFile, ...log]);
    await cli.says(/\n/);
    const { address, monitorUrl } = JSON.parse(cli.stdout) as { address: string; monitorUrl: string };
    const client = await connectToHub(address, { token: TOKEN });
    await client.close();
    await expect(connectToHub(address, { token: WRONG })).rejects.toMatchObject({ code: "unauthorized" });
    const authorization = `Bearer ${WRONG}`;
    expect((await fetch(`${monitorUrl}/v1/clients`, { headers: { authorization } })).status).toBe(401);
    await expectSilent(cli, TOKEN, WRONG);
  });
});

describe.skipIf(natsMissing)("what lets a program into NATS", { timeout: 60_000 }, () => {
  const PASSWORD = "pa55-0c41be97";
  const NATS_TOKEN = "n4ts-5d20fa68";

  describe.each([
    ["a password", `authorization { user: joe, password: "${PASSWORD}" }`, `joe:${PASSWORD}`, PASSWORD],
    ["a token", `authorization { token: "${NATS_TOKEN}" }`, NATS_TOKEN, NATS_TOKEN],
  ])("%s", (kind, config, text, secret) => {
    const file = join(directory, `nats ${kind}`);
    const wrongFile = join(directory, `nats ${kind}, wrong`);
    writeFileSync(file, `${text}\n`);
    writeFileSync(wrongFile, `${text.replace(secret, WRONG)}\n`);

    const commands: readonly (readonly string[])[] = [
      ["broadcast", "start", "--mdns-interface", "127.0.0.1"],
      ["hub", "start", "--mdns-interface", "127.0.0.1", "--monitor-port", "0"],
    ];

    it.each(commands)("is nowhere shown by %s %s, whatever becomes of the server", async (...command) => {
      await using server = await NatsServer.start({ config });
      const cli = new Cli([
        ...[...command, "--port", "0", "--json", "-v", "--log-level", "trace"],
        ...["--engine", server.url, "--nats-credentials", file],
      ]);
      await cli.says(/\n/);
      const said = JSON.parse(cli.stdout) as { url?: string; monitorUrl?: string };
      const at = (said.url ?? said.monitorUrl)!;
      const told: string[] = [];
      const look = async (state: string) => {
        await eventually(async () => {
          const answer = await (await fetch(`${at}/v1/status`)).text();
          told.push(answer);
          return answer.includes(`"state":"${state}"`);
        }, 20_000);
        for (const path of ["/metrics", "/v1/peers", "/readyz", "/v1/clients"])
          told.push(await (await fetch(`${at}${path}`)).text());
        told.push((await hubcast(["doctor", "--mdns-interface", "127.0.0.1"])).stdout);
      };
      await look("ready");
      await server.stop();
      await look("degraded");
      // The server refuses the old credentials from now on, and refused credentials may be logged.
      await server.restart({ config: config.replace(secret, "0ther") });
      await eventually(() => server.log.includes("authentication error"), 20_000);
      await look("degraded");
      expect(told.join("\n")).toContain("natsAway");
      for (const one of told) expect(one).not.toContain(secret);
      await expectSilent(cli, secret);
    });

    it.each(commands)("that is wrong is not shown by %s %s, which fails", async (...command) => {
      await using server = await NatsServer.start({ config });
      const { stdout, stderr, code } = await hubcast([
        ...[...command, "--port", "0", "-v", "--log-level", "trace"],
        ...["--engine", server.url, "--nats-credentials", wrongFile],
      ]);
      expect([code, stdout + stderr]).toEqual([4, expect.stringContaining("refused the credentials")]);
      expect(stdout + stderr).not.toContain(WRONG);
    });
  });
});

describe("a command that fails says nothing of the secret it was given:", () => {
  it.each([
    ["broadcast", "start", "--trust", tokenFile],
    ["broadcast", "start", "--cluster-key-file", tokenFile],
    ["broadcast", "post", "x", "--sign-key", tokenFile],
    ["broadcast", "status", "--url", "http://127.0.0.1:1", "--token-file", tokenFile],
    ["hub", "who", "--addr", "127.0.0.1:1", "--token-file", tokenFile],
    ["hub", "start", "--tls-cert", tokenFile, "--tls-key", tokenFile],
    ["keys", "show", tokenFile],
  ])("%s %s %s %s", async (...args) => {
    const { stdout, stderr, code } = await hubcast([...args, "-v"]);
    expect(stdout + stderr).not.toContain(TOKEN);
    expect(code).toBeGreaterThan(1);
  });
});
