import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectError } from "../../src/hub/client/connection.js";
import { connectToHub } from "../../src/hub/client/index.js";
import { type Hub, startHub } from "../../src/hub/index.js";
import { hubcast } from "../commands/cli.js";
import { freePort } from "../fixtures/free-port.js";

const CERT = fileURLToPath(new URL("../fixtures/tls/cert.pem", import.meta.url));
const [cert, key] = ["cert", "key"].map((name) => readFileSync(CERT.replace("cert.pem", `${name}.pem`))) as [
  Buffer,
  Buffer,
];
const FEW_FILES = { under: ["sh", "-c", 'ulimit -n 80; exec "$@"', "sh"] };

let hub: Hub;
beforeEach(async () => {
  hub = await startHub({ port: 0, tls: { cert, key }, token: "secret" });
});
afterEach(() => hub.close());

describe("what keeps a client from a hub is told apart", () => {
  it.each([
    ["EMFILE", "ownLimit"],
    ["ENFILE", "ownLimit"],
    ["EADDRNOTAVAIL", "ownLimit"],
    ["CERT_HAS_EXPIRED", "certificateRefused"],
    ["CERT_NOT_YET_VALID", "certificateRefused"],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "certificateRefused"],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "certificateRefused"],
    ["ERR_TLS_CERT_ALTNAME_INVALID", "certificateRefused"],
    ["ERR_SSL_WRONG_VERSION_NUMBER", "notHubcast"],
    ["ECONNREFUSED", "unreachable"],
    ["EHOSTUNREACH", "unreachable"],
    ["ENOTFOUND", "unreachable"],
    ["ETIMEDOUT", "unreachable"],
  ])("%s is %s", (code, expected) => {
    const error = Object.assign(new Error("connect E 1.2.3.4:1 - Local (undefined:undefined)"), { code });
    expect(connectError(error, "h:1", true)).toMatchObject({ code: expected, cause: error });
  });

  it("by every command that connects", async () => {
    const plain = await startHub({ port: 0 });
    try {
      const other = join(tmpdir(), `hubcast-not-a-certificate-${process.pid}`);
      writeFileSync(other, "junk");
      const stranger = `${other}-but-of-a-stranger`;
      writeFileSync(stranger, rootCertificates[0]!);
      const rows: [address: string, extra: string[], code: number, word: RegExp][] = [
        [`127.0.0.1:${await freePort()}`, [], 3, /no hub answers/],
        [hub.address, ["--tls-ca", stranger], 4, /certificate of the hub/],
        [hub.address, ["--tls-ca", CERT], 4, /asks for a token/],
        [plain.address, ["--tls-ca", CERT], 3, /does not talk TLS/],
        [plain.address, ["--tls-ca", other], 2, /holds no certificate/],
      ];
      for (const command of [
        ["who"],
        ["send", "x", "--all"],
        ["listen"],
        ["simulate", "-c", "2", "-n", "1"],
      ]) {
        for (const [address, extra, code, word] of rows) {
          const ended = await hubcast(["hub", ...command, "--addr", address, ...extra], {
            deadlineMs: 30_000,
          });
          expect([command[0], ended.code, ended.stderr]).toEqual([
            command[0],
            code,
            expect.stringMatching(word),
          ]);
        }
      }
    } finally {
      await plain.close();
    }
  }, 120_000);

  it("by hub simulate before it starts, when there are more clients than open files", async () => {
    const { code, stderr } = await hubcast(["hub", "simulate", "-c", "100"], FEW_FILES);
    expect([code, stderr]).toEqual([
      3,
      expect.stringMatching(/100 clients need \d+ open files; a process may have 80/),
    ]);
  });

  it("and a hub that asks for a token says so to hub simulate, too", async () => {
    const guarded = await startHub({ port: 0, token: "secret" });
    try {
      const { code, stderr } = await hubcast([
        "hub",
        "simulate",
        "-c",
        "2",
        "-n",
        "1",
        "--addr",
        guarded.address,
      ]);
      expect([code, stderr]).toEqual([4, expect.stringContaining("asks for a token")]);
    } finally {
      await guarded.close();
    }
  });

  it("a ca that is none is refused by the library", async () => {
    const junk = connectToHub(hub.address, { tls: { ca: "junk" } });
    await expect(junk).rejects.toMatchObject({ code: "invalidOption" });
  });
});
