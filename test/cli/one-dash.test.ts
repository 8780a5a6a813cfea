import { describe, expect, it } from "vitest";
import { BaseCommand, withTwoDashes } from "../../src/cli/base-command.js";
import { HUB_SIMULATE_FLAGS } from "../../src/cli/hub-simulation.js";
import { START_FLAGS } from "../../src/cli/start-flags.js";
import { HUB_START_FLAGS } from "../../src/commands/hub/start.js";

const COMMANDS = {
  "hub simulate": HUB_SIMULATE_FLAGS,
  "hub start": HUB_START_FLAGS,
  "broadcast start": START_FLAGS,
};

describe("a command line with one dash", () => {
  it.each([
    [
      "hub simulate",
      "-size=1024 -ncli=2 -nmex=10 -i=1 -stat=true -addr=HOST -port=9999",
      "--size=1024 --ncli=2 --nmex=10 -i=1 --stat --addr=HOST --port=9999",
    ],
    ["hub simulate", "-stat=false", "--no-stat"],
    ["hub simulate", "-stat=F -stat=0 -stat=FALSE", "--no-stat --no-stat --no-stat"],
    ["hub simulate", "-stat=perhaps", "--stat=perhaps"],
    ["hub simulate", "-n5 -n 5 -c=3 -i 1", "-n5 -n 5 -c=3 -i 1"],
    ["hub simulate", "-sizes=3 -nope", "-sizes=3 -nope"],
    ["hub simulate", "-size=3 -- -size=3", "--size=3 -- -size=3"],
    ["hub start", "-port=9999", "--port=9999"],
    ["hub start", "-port 9999", "--port 9999"],
    ["hub start", "-stat=false -stat=true -stat", "--stat --stat"],
    ["broadcast start", "-httpport=8090", "--httpport=8090"],
    ["broadcast start", "-httpport 8090 -data-dir=x=y -json", "--httpport 8090 --data-dir=x=y --json"],
    ["broadcast start", "-q -v", "-q -v"],
  ] as const)("of %s: %s", (command, given, meant) => {
    const flags = { ...BaseCommand.baseFlags, ...COMMANDS[command] };
    expect(withTwoDashes(given.split(" "), flags).join(" ")).toBe(meant);
  });
});
