import { describe, expect, it } from "vitest";
import { Nodes } from "../fixtures/nodes.js";
import { Cli, hubcast } from "./cli.js";

const UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}";

describe("topics", () => {
  it("are given to post, and filter list and watch", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start({ mdns: false, http: { port: 0 } });
    const at = ["--url", node.url!];
    const watch = new Cli(["broadcast", "watch", "--topic", "alerts", "--since", "1h", "--json", ...at]);
    const post = (...args: string[]) => hubcast(["broadcast", "post", "full", ...args, ...at]);
    try {
      const made = await post("--topic", "alerts/disk");
      expect(made.stdout).toMatch(new RegExp(`^alerts/disk/${UUID}\n$`));
      expect((await post("--topic", "alerts", "--id", "db1")).stdout).toBe("alerts/db1\n");
      expect((await post("--id", "alerts-2/db1")).stdout).toBe("alerts-2/db1\n");
      const ids = [made.stdout.trim(), "alerts/db1"];
      const listed = await hubcast(["broadcast", "list", "--topic", "alerts", "--json", ...at]);
      const idsIn = (text: string) =>
        text
          .trimEnd()
          .split("\n")
          .map((line) => JSON.parse(line).id);
      expect(idsIn(listed.stdout)).toEqual(ids);
      const none = await hubcast(["broadcast", "list", "--topic", "alert", ...at]);
      expect([none.stdout, none.stderr, none.code]).toEqual(["", "no items under alert\n", 0]);

      await hubcast(["broadcast", "post", "last", "--id", "alerts/last", ...at]);
      await watch.says(/alerts\/last/);
    } finally {
      watch.kill("SIGINT");
      await watch.ended();
    }
    expect(watch.stdout).not.toContain("alerts-2");
  });

  it.each([
    [
      ["--topic", "alerts/"],
      'error: --topic: "alerts/" is no topic: it has an empty segment',
      "Write alerts:",
    ],
    [["--topic", ""], 'error: --topic: "" is no topic: it is empty', "such as alerts/disk"],
    [["--topic", "a", "--id", "b/c"], "the id under topic a has a /", "Leave the id out"],
    [["--topic", "a", "--id", ""], "error: the id under topic a is empty", "Leave the id out"],
  ])("post %j is refused before anything is asked of a node", async (flags, error, advice) => {
    const { stderr, code } = await hubcast([
      "broadcast",
      "post",
      "x",
      ...flags,
      "--url",
      "http://127.0.0.1:1",
    ]);
    expect(stderr).toContain(error);
    expect(stderr).toContain(advice);
    expect(code).toBe(2);
  });

  it.each(["list", "watch"])("%s of a bad topic is a usage error", async (command) => {
    const { stderr, code } = await hubcast([
      "broadcast",
      command,
      "--topic",
      "/a",
      "--url",
      "http://127.0.0.1:1",
    ]);
    expect(stderr).toMatch(/^error: --topic: "\/a" is no topic.*\n {2}Write a: it stands/);
    expect(code).toBe(2);
  });
});
