import { spawnSync } from "node:child_process";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { hubcast } from "./cli.js";
import { hasScript, Terminal } from "./terminal.js";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "hubcast-completion-"));
  await writeFile(join(dir, "certificate.pem"), "");
});

describe.each([
  ["bash", "bash --norc --noprofile -i"],
  ["zsh", "zsh -f -i"],
] as const)("completion in %s", (shell, command) => {
  const isThere = hasScript && spawnSync(shell, ["-c", "true"]).status === 0;

  it.skipIf(!isThere).each([
    ["a command", "hubcast broadc", "broadcast"],
    ["a command of a topic", "hubcast hub sim", "simulate"],
    ["a flag behind others", "hubcast broadcast start --port 8081 --log-for", "--log-format"],
    ["a flag behind an argument", "hubcast broadcast post hello --sign-k", "--sign-key"],
    ["a value of few", "hubcast broadcast start --log-format js", "json"],
    ["such a value behind =", "hubcast hub start --slow-consumer=ev", "evict"],
    ["a file", () => `hubcast hub start --tls-cert ${dir}/certif`, "certificate.pem"],
    ["an argument of few", "hubcast completion ba", "bash"],
  ] as const)(`%s (needs ${shell}, and script of util-linux)`, async (_, typed, expected) => {
    await using terminal = Terminal.shell(command);
    const { stdout } = await hubcast(["completion", shell]);
    const script = join(dir, shell);
    await writeFile(script, stdout);
    terminal.types(`PS1='$ '; source ${script} && echo loa""ded\r`);
    await terminal.says("loaded");
    const line = typeof typed === "string" ? typed : typed();
    const before = terminal.types(line);
    await terminal.saysNow(line.slice(-3), before);
    const completed = terminal.types("\t");
    const word = line.split(/[ =/]/).at(-1)!;
    await terminal.saysNow(expected.slice(word.length), completed);
    terminal.types("\u0003exit\r");
  });
});

it("names a shell that it does not know", async () => {
  const { stderr, code } = await hubcast(["completion", "fish"]);
  expect([stderr, code]).toEqual([expect.stringMatching(/bash, zsh/), 2]);
});
