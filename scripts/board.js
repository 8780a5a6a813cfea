import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

/** Phones on a slow network load it, too. */
const COMPRESSED_BYTES_MAX = 60 * 1024;

/**
 * Makes one page that needs nothing else of src/node/board, and the policy under which browsers run it, and writes both
 * into node/http/page.js, in place of what was compiled there.
 * @param {string} root directory of the package
 * @param {string} compiled directory of the compiled modules
 */
export async function buildBoard(root, compiled) {
  const source = join(root, "src", "node", "board");
  const script = await scriptOf(join(source, "main.tsx"));
  const style = styleOf(readFileSync(join(source, "style.css"), "utf8"));
  const html = readFileSync(join(source, "page.html"), "utf8")
    .replace("/* style.css */", () => style)
    .replace("/* main.tsx */", () => script);
  const gzip = gzipSync(html, { level: 9 });
  if (gzip.length > COMPRESSED_BYTES_MAX)
    throw new Error(
      `the page of the board has ${gzip.length} bytes compressed, over ${COMPRESSED_BYTES_MAX}`,
    );
  const page = { gzip: gzip.toString("base64"), policy: policyFor(script, style) };
  const text = `export async function builtPage() {\n  return ${JSON.stringify(page)};\n}\n`;
  writeFileSync(join(compiled, "node", "http", "page.js"), text);
}

/**
 * Only this script and this style, requests to the node that served the page and to nobody else, in no frame. Trusted
 * types: the browser itself refuses whatever would turn a text into markup.
 */
function policyFor(script, style) {
  return [
    "default-src 'none'",
    `script-src '${hashOf(script)}'`,
    `style-src '${hashOf(style)}'`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
}

function hashOf(text) {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}

async function scriptOf(entry) {
  const bundle = await rolldown({
    input: entry,
    platform: "browser",
    tsconfig: false,
    transform: { jsx: { runtime: "automatic", importSource: "preact" }, target: "es2022" },
    resolve: { extensionAlias: { ".js": [".ts", ".tsx", ".js"] } },
    plugins: [nodeModules()],
    onLog(level, log) {
      if (level === "warn") throw new Error(log.message);
    },
  });
  const { output } = await bundle.generate({ format: "iife", minify: true, comments: false });
  const [chunk] = output;
  if (output.length !== 1) throw new Error("the script of the board must be one file");
  if (chunk.imports.length > 0) throw new Error(`the script of the board needs ${chunk.imports}`);
  // The end of the script element must not stand in it.
  return chunk.code.replaceAll("</script", "<\\/script").trim();
}

/** Pure files that the board shares may need them for what it does not use. */
function nodeModules() {
  const resolveId = (id) =>
    id.startsWith("node:") ? { id, external: true, moduleSideEffects: false } : null;
  return { name: "node-modules", resolveId };
}

/** Comments and the blanks at the start of lines are for who reads the source. */
function styleOf(text) {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(/\s*\n\s*/g, "\n")
    .trim();
}
