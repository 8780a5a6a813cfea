import { hash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import type { FastifyInstance } from "fastify";

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

/** Loaded when somebody asks for it. */
async function readPage(): Promise<Page> {
  const { builtPage } = await import("./page.js");
  const { gzip, policy } = await builtPage();
  const bytes = Buffer.from(gzip, "base64");
  // Weak: the compressed and the plain text are the same page.
  return { gzip: bytes, policy, etag: `W/"${hash("sha256", bytes, "base64url").slice(0, 22)}"` };
}
