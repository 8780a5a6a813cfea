import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, realpathSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { Nodes } from "../../fixtures/nodes.js";

const run = promisify(execFile);
const GENERATOR = "openapi-python-client";
const generator = find(GENERATOR);
const directory = mkdtempSync(join(tmpdir(), "hubcast-python-"));

/** Where a program is on the PATH. */
function find(program: string): string | undefined {
  try {
    return realpathSync(execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim());
  } catch {
    return undefined;
  }
}

const PROGRAM = `
import json, sys
from hubcast_node_client import AuthenticatedClient, Client
from hubcast_node_client.api.items import get_item, list_items, post_item
from hubcast_node_client.api.node import get_status, list_peers
from hubcast_node_client.models import ItemDraft

url, token = sys.argv[1:]
strict = {"base_url": url, "raise_on_unexpected_status": True}
client = AuthenticatedClient(token=token, **strict) if token else Client(**strict)
posted = post_item.sync(client=client, body=ItemDraft(raw="by python", id="a b"), wait="all")
again = post_item.sync_detailed(client=client, body=ItemDraft(raw="by python", id="a b"))
conflict = post_item.sync_detailed(client=client, body=ItemDraft(raw="other", id="a b"))
page = list_items.sync(client=client, since="10m", limit=10)
status = get_status.sync(client=client)
print(json.dumps({
  "posted": [posted.id, posted.status.value, posted.receipt.of],
  "again": [again.status_code, again.parsed.status.value],
  "conflict": [conflict.status_code, conflict.parsed.code.value],
  "listed": [item.raw for item in page.items],
  "read": get_item.sync("a b", client=client).raw,
  "status": [status.items, status.state.value],
  "peers": [peer.state.value for peer in list_peers.sync(client=client)],
}))
`;

test.skipIf(generator === undefined).each([
  ["without a token", undefined],
  ["with a token", "secret"],
])(
  `a client that ${GENERATOR} makes of /openapi.json posts and reads, unedited, %s${generator ? "" : ` (skipped: ${GENERATOR} is not on the PATH; pip install ${GENERATOR})`}`,
  { timeout: 120_000 },
  async (_, token) => {
    await using nodes = new Nodes();
    const tokens = token === undefined ? [] : [{ token, role: "post" } as const];
    const [node] = await nodes.startMesh(2, { http: { port: 0, tokens } });
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const document = await fetch(`${node!.url}/openapi.json`, { headers });
    const [path, client] = ["openapi.json", "client"].map((name) => join(directory, name)) as [
      string,
      string,
    ];
    writeFileSync(path, await document.text());
    await run(generator!, ["generate", "--path", path, "--output-path", client, "--overwrite"]);
    const python = join(dirname(generator!), "python3");
    const { stdout } = await run(python, ["-c", PROGRAM, node!.url!, token ?? ""], { cwd: client });
    expect(JSON.parse(stdout)).toEqual({
      posted: ["a b", "accepted", 1],
      again: [200, "held"],
      conflict: [409, "conflict"],
      listed: ["by python"],
      read: "by python",
      status: [1, "ready"],
      peers: ["connected"],
    });
  },
);
