import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectToHub } from "../../src/hub/client/index.js";
import { type Hub, startHub } from "../../src/hub/index.js";
import { freePort } from "../fixtures/free-port.js";
import { Cli, hubcast } from "./cli.js";
import { Door } from "./door.js";

const RUN = fileURLToPath(new URL("../../bin/run.js", import.meta.url));

let hub: Hub;
beforeEach(async () => {
  hub = await startHub({ port: 0 });
});
afterEach(() => hub.close());

describe("hub send --lines", () => {
  it("sends each line of a producer that never ends, as it comes", async () => {
    await using ear = await connectToHub(hub.address);
    const args = [RUN, "hub", "send", "--lines", "--to", "1", "--addr", hub.address, "--json"];
    const send = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "ignore"] });
    const messages = ear.messages();
    for (const line of ["one", "", "\u00fcber", "four"]) {
      send.stdin.write(`${line}\n`);
      expect((await messages.next()).value.payload.toString()).toBe(line);
    }
    send.stdin.end("no line break");
    expect((await messages.next()).value.payload.toString()).toBe("no line break");
    expect(await once(send, "close")).toEqual([0, null]);
  });

  it("keeps bytes and order, and exits with 5 when one was not delivered", async () => {
    await using ear = await connectToHub(hub.address);
    const lines = Array.from({ length: 500 }, (_, n) =>
      Buffer.concat([Buffer.of(255, 0), Buffer.from(`${n}`)]),
    );
    const input = Buffer.concat(lines.flatMap((line) => [line, Buffer.from("\n")]));
    const reading = (async () => {
      const got: Buffer[] = [];
      for await (const { payload } of ear.messages()) if (got.push(payload) === lines.length) return got;
      return got;
    })();
    const args = ["hub", "send", "--lines", "--to", "1", "--to", "99", "--addr", hub.address, "--json"];
    const { code, stdout } = await hubcast(args, { input });
    expect(code).toBe(5);
    const said = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(said).toHaveLength(501);
    expect(said[0]).toEqual({ type: "sent", line: 1, reached: 1, unknown: [99], evicted: [] });
    expect(said.at(-1).error).toMatchObject({ code: "notDelivered" });
    expect(await reading).toEqual(lines);
  });

  it("sends all lines when nobody reads the receipts, and keeps its exit code", async () => {
    await using ear = await connectToHub(hub.address);
    const reading = (async () => {
      let count = 0;
      for await (const { payload } of ear.messages()) {
        count += 1;
        if (payload.toString() === "last") break;
      }
      return count;
    })();
    const args = ["hub", "send", "--lines", "--to", "1", "--to", "99", "--addr", hub.address, "--json"];
    const send = new Cli(args, { input: `${"x\n".repeat(2_000)}last\n` });
    send.hangUp();
    expect((await send.ended()).code).toBe(5);
    expect(await reading).toBe(2_001);
  });

  it("ends when the hub goes away, though no line comes", async () => {
    const args = [RUN, "hub", "send", "--lines", "--all", "--addr", hub.address, "--json"];
    const send = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "ignore"] });
    const [told, closed] = [text(send.stdout), once(send, "close")];
    send.stdin.write("one\n");
    await once(send.stdout, "data");
    await hub.close();
    expect(await closed).toEqual([3, null]);
    expect(JSON.parse((await told).trim().split("\n")[1]!)).toMatchObject({
      error: {
        code: "connectionLost",
        message: expect.stringMatching(/^the hub closed the connection: \w+$/),
      },
    });
    send.stdin.destroy();
  });

  it("names the first line without a receipt when the hub goes away", async () => {
    const door = new Door(hub.port);
    const args = ["hub", "send", "--lines", "--all", "--addr", await door.open(), "--json"];
    const send = new Cli(args, { input: "x\n".repeat(500_000) });
    await send.says(/sent/);
    door.close();
    const { stdout, code } = await send.ended();
    const said = stdout.trim().split("\n");
    expect(JSON.parse(said.at(-1)!).error.message).toMatch(
      new RegExp(`^line ${said.length} has no receipt: the hub at .* closed the connection: \\w+$`),
    );
    expect(code).toBe(3);
  });

  it("waits for its input no longer than --timeout", async () => {
    const args = [RUN, "hub", "send", "--all", "--timeout", "300ms", "--addr", hub.address];
    const send = spawn(process.execPath, args, { stdio: ["pipe", "ignore", "pipe"] });
    const [told, closed] = [text(send.stderr), once(send, "close")];
    expect(await closed).toEqual([5, null]);
    expect(await told).toMatch(/^error: not done within 300 ms\n/);
    send.stdin.destroy();
  });

  it("takes no argument besides", async () => {
    expect((await hubcast(["hub", "send", "x", "--lines", "--all", "--addr", hub.address])).code).toBe(2);
  });
});

describe("hub listen", () => {
  it("--raw prints the bytes of payloads and nothing else", async () => {
    const args = ["hub", "listen", "--raw", "--count", "2", "--addr", hub.address];
    const listen = new Cli(args);
    await listen.says(/listening/, "stderr");
    await using mouth = await connectToHub(hub.address);
    await mouth.relay([1], "a\u001b[31m\n");
    await mouth.relay([1], "b");
    expect(await listen.ended()).toMatchObject({ code: 0, stdout: "a\u001b[31m\nb" });
  });

  it("--retry waits for a hub that comes later", async () => {
    const port = await freePort();
    const listen = new Cli([
      "hub",
      "listen",
      "--retry",
      "--count",
      "1",
      "--raw",
      "--addr",
      `127.0.0.1:${port}`,
    ]);
    // It has been refused by then; or it comes later still, and the first try is good.
    const late = await startHub({ port });
    try {
      await listen.says(/listening/, "stderr");
      await using mouth = await connectToHub(late.address);
      await mouth.sendToAll("at last");
      expect(await listen.ended()).toMatchObject({ code: 0, stdout: "at last" });
    } finally {
      await late.close();
    }
  });

  it("--timeout ends it: with 5 when too few came, else with 0; and the waiting for a hub", async () => {
    const listen = ["hub", "listen", "--timeout", "500ms", "--addr", hub.address];
    expect(await hubcast([...listen, "--count", "1"])).toMatchObject({
      code: 5,
      stderr: expect.stringContaining("error: 0 messages of 1 came within 500 ms"),
    });
    expect(await hubcast(listen)).toMatchObject({ code: 0 });
    const nowhere = [
      "hub",
      "who",
      "--retry",
      "--timeout",
      "500ms",
      "--addr",
      `127.0.0.1:${await freePort()}`,
    ];
    const { code, stderr } = await hubcast(nowhere);
    expect(code).toBe(5);
    expect(stderr).toMatch(/\(connection refused\); dialling again\n/);
    expect(stderr).toMatch(/not done within 500 ms: no hub answers at .* \(connection refused\)\n/);
  });

  it("says that the hub went away, and dials again", async () => {
    const { port } = hub;
    const listen = new Cli(["hub", "listen", "--addr", hub.address]);
    await listen.says(/listening/, "stderr");
    await hub.close();
    await listen.says(/the hub went away \(stopping\); dialling again/, "stderr");
    hub = await startHub({ port });
    await listen.says(/back as client 1/, "stderr");
    listen.kill("SIGINT");
    expect((await listen.ended()).code).toBe(130);
  });

  it("fails when the hub refuses its token at the redial, also with --count", async () => {
    let guarded = await startHub({ port: 0, token: "first" });
    const { port } = guarded;
    const env = { HUBCAST_TOKEN: "first" };
    const args = ["hub", "listen", "--addr", guarded.address];
    const listens = [args, [...args, "--count", "5"]].map((line) => new Cli(line, { env }));
    for (const listen of listens) await listen.says(/listening/, "stderr");
    await guarded.close();
    guarded = await startHub({ port, token: "second" });
    try {
      for (const listen of listens) {
        const { code, stderr } = await listen.ended();
        expect(code).toBe(4);
        expect(stderr).toMatch(/error: the hub at .* asks for a token and got none, or a wrong one/);
      }
    } finally {
      await guarded.close();
    }
  });

  it("says so, too, of a hub that was killed", async () => {
    const killed = new Cli(["hub", "start", "--port", "0", "--no-mdns", "--json"]);
    await killed.says(/"ready"/);
    const { address } = JSON.parse(killed.stdout.split("\n")[0]!);
    const listen = new Cli(["hub", "listen", "--addr", address]);
    await listen.says(/listening/, "stderr");
    killed.kill("SIGKILL");
    await killed.ended();
    await listen.says(/the hub went away \(connectionLost\); dialling again/, "stderr");
    listen.kill("SIGINT");
    await listen.ended();
  });
});
