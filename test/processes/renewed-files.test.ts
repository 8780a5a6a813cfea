import { copyFileSync, mkdtempSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { connectToHub } from "../../src/hub/client/index.js";
import { FIRST, RENEWED, shownName } from "../fixtures/certificates.js";
import { eventually } from "../fixtures/eventually.js";
import { LineProcess } from "../fixtures/line-process.js";

const directory = mkdtempSync(join(tmpdir(), "hubcast-renewed-"));

const path = (name: string) => join(directory, name);
const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/tls/${name}`, import.meta.url));

const RUN = fileURLToPath(new URL("../../bin/run.js", import.meta.url));
const FLAGS = ["--port", "0", "--no-mdns", "--json"];

/** A server as its command starts it, with a certificate and a token of its own. */
async function startServer(command: "broadcast" | "hub") {
  const [cert, key, tokenFile] = ["cert", "key", "token"].map((name) => path(`${command}-${name}`)) as [
    string,
    string,
    string,
  ];
  const put = (pair: "" | "renewed-" | "expired-", token: string) => {
    copyFileSync(fixture(`${pair}cert.pem`), cert);
    copyFileSync(fixture(`${pair === "" ? "" : "renewed-"}key.pem`), key);
    writeFileSync(tokenFile, token);
  };
  put("", "first");
  const more = command === "broadcast" ? ["--p2p-host", "127.0.0.1"] : [];
  const files = ["--tls-cert", cert, "--tls-key", key, "--token-file", tokenFile];
  const server = new LineProcess([process.execPath, RUN, command, "start", ...FLAGS, ...more, ...files]);
  const { url, address } = await server.line({ type: "ready" }, 30_000);
  const port = Number(/\d+$/.exec(String(url ?? address))![0]);
  return { server, port, put, cert, tokenFile };
}

/** Whether a token is taken for a new connection. */
async function isTaken(command: "broadcast" | "hub", port: number, token: string): Promise<boolean> {
  const ca = [FIRST.cert, RENEWED.cert].join("\n");
  if (command === "hub") {
    const connecting = connectToHub(`127.0.0.1:${port}`, { tls: { ca, servername: "localhost" }, token });
    return await connecting.then(
      (client) => client.close().then(() => true),
      () => false,
    );
  }
  return await new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    request({ host: "127.0.0.1", port, path: "/v1/status", ca, headers, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    })
      .once("error", reject)
      .end();
  });
}

test.each(["broadcast", "hub"] as const)(
  "%s start takes a renewed certificate and token, at a SIGHUP too, and keeps those in force when the new are bad",
  { timeout: 60_000 },
  async (command) => {
    const { server, port, put, cert, tokenFile } = await startServer(command);
    await using _ended = server;
    expect(await shownName(port)).toBe("localhost");

    put("renewed-", "second");
    await eventually(async () => (await shownName(port)) === "renewed" && isTaken(command, port, "second"));
    expect(await isTaken(command, port, "first")).toBe(false);
    const told = () =>
      ["certificate", "tokens?"].map((what) => server.stderr.match(RegExp(`new ${what}, from`, "g"))?.length);
    await eventually(() => told().every((times) => times === 1));
    server.child.kill("SIGHUP");

    writeFileSync(cert, "no certificate");
    writeFileSync(tokenFile, "");
    await eventually(() => server.stderr.includes("the certificate read before stays in force"));
    await eventually(() => /the tokens? read before stays? in force/.test(server.stderr));
    const complaints = () => server.stderr.split("stays in force").length;
    const before = complaints();
    server.child.kill("SIGHUP");
    await eventually(() => complaints() > before);
    expect(await shownName(port)).toBe("renewed");
    expect(await isTaken(command, port, "second")).toBe(true);
    expect(told()).toEqual([1, 1]);

    put("expired-", "third");
    await eventually(() => server.stderr.includes("expired at 2020-12-31"));
    expect(await shownName(port)).toBe("expired");
  },
);
