import { hash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import type { FastifyInstance } from "fastify";
import { HubcastError } from "../../core/errors.js";

/** What scripts/board.js writes. */
interface BuiltPage {
  /** Base64 of the page, compressed by gzip. */
  readonly gzip: string;
  /** The policy under which browsers run it, with the hashes of its script and style. */
  readonly policy: string;
}

interface Page {
  readonly gzip: Buffer;
  readonly policy: string;
  readonly etag: string;
}

/**
 * GET /: the web page of the board (src/node/board). It is the same for everybody and has no item in it, so it is served
 * without a token; what it shows it asks for with one. The gate holds for it as for every call.
 */
export async function boardRoutes(app: FastifyInstance): Promise<void> {
  let page: Promise<Page> | undefined;
  app.get("/", { exposeHeadRoute: true, schema: { hide: true } as object }, async (request, reply) => {
    page ??= readPage();
    const { gzip, policy, etag } = await page;
    reply.headers({
      "content-security-policy": policy,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cache-control": "no-cache",
      vary: "accept-encoding",
      etag,
    });
    if (request.headers["if-none-match"]?.includes(etag)) return reply.code(304).send();
    reply.type("text/html; charset=utf-8");
    if (!/\bgzip\b/.test(request.headers["accept-encoding"] ?? "")) return reply.send(gunzipSync(gzip));
    return reply.header("content-encoding", "gzip").send(gzip);
  });
}

/** @throws notFound */
async function readPage(): Promise<Page> {
  try {
    // Made by scripts/board.js; the same file for the sources and for what is built of them.
    const file = new URL("../../../dist/node/board/page.json", import.meta.url);
    const { gzip, policy } = JSON.parse(await readFile(file, "utf8")) as BuiltPage;
    const bytes = Buffer.from(gzip, "base64");
    // Weak: the compressed and the plain text are the same page.
    return { gzip: bytes, policy, etag: `W/"${hash("sha256", bytes, "base64url").slice(0, 22)}"` };
  } catch (cause) {
    throw new HubcastError("notFound", "the web page of the board is not part of this program", {
      cause,
      suggestions: [
        "Keep dist/node/board of the package hubcast beside a bundle, or use the calls of the API.",
      ],
    });
  }
}
