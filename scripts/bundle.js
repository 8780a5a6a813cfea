import { readdirSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import { rolldown } from "rolldown";

/** Inlined into the bundles, with all that they need. Every other package is loaded from where npm put it. */
const INLINED = ["@oclif/core", "eventsource-parser", "undici"];

/**
 * Replaces dist/cli/main.js and dist/commands/** by bundles, so that a command loads a handful of files; as
 * installed, @oclif/core alone is 150. What they import lazily stays as it is, and so does core/errors.js: an error
 * of the node that `start` runs must be an instance of the very class that the command knows.
 * bench/startup.ts shows what it saves.
 * @param {string} root directory of the package
 * @param {{ eager?: boolean }} [options] eager: the text of @oclif/core is bundled as it is, see lazyRequires
 */
export async function bundleCommands(root, { eager = false } = {}) {
  const dist = join(root, "dist");
  const commands = readdirSync(join(dist, "commands"), { recursive: true }).filter((name) =>
    name.endsWith(".js"),
  );
  const entries = ["cli/main.js", ...commands.map((name) => `commands/${name.split(sep).join("/")}`)];
  const bundle = await rolldown({
    cwd: dist,
    platform: "node",
    input: Object.fromEntries(entries.map((entry) => [entry.replace(/\.js$/, ""), join(dist, entry)])),
    plugins: [
      undiciInPart(),
      keepOutside(dist),
      ...(eager ? [] : [lazyRequires()]),
      builtinsWithoutFacade(),
      ascii(),
    ],
    // Undici's own switch for those who bundle it: leaves out a second parser of HTTP, an experiment.
    transform: { define: { esbuildDetection: "true" } },
  });
  await bundle.write({
    dir: dist,
    format: "esm",
    minify: { compress: true, mangle: { keepNames: true }, codegen: true },
    entryFileNames: "[name].js",
    chunkFileNames: "chunks/[name].js",
    codeSplitting: { groups: GROUPS },
  });
}

/** What is needed together lies in one file: each costs half a millisecond to find, read and link. */
const GROUPS = [
  // What every command needs: the parser, and what ours share.
  {
    name: "command",
    test: /rolldown[\\/]runtime|[\\/]@oclif[\\/]|[\\/]dist[\\/](core|runtime[\\/]start-step|cli[\\/](base-command|flag-file|flags|input|output|signals))/,
    priority: 2,
  },
  {
    name: "node-client",
    test: /undici|[\\/]dist[\\/](node[\\/](client|arguments|remote)|cli[\\/]client-command)/,
    priority: 1,
  },
];

/** What src uses of undici, each from its file. Its index loads fetch, mocks, caches and proxies as well: 40 ms. */
const UNDICI_IN_PART = `
import Dispatcher from "undici/lib/dispatcher/dispatcher.js";
import api from "undici/lib/api/index.js";
Object.assign(Dispatcher.prototype, api);
export { default as Pool } from "undici/lib/dispatcher/pool.js";
export { default as RetryAgent } from "undici/lib/dispatcher/retry-agent.js";
`;

function undiciInPart() {
  const ids = { undici: "\0undici", "node:http2": "\0no-http2" };
  const texts = {
    [ids.undici]: UNDICI_IN_PART,
    // 10 ms. Undici goes without HTTP/2 where Node was built without it; nodes speak HTTP/1.1.
    [ids["node:http2"]]: 'throw new Error("HTTP/2 is left out of the bundle");',
  };
  return {
    name: "undici-in-part",
    resolveId(source) {
      // The parser for machines without SIMD is a quarter of the whole: loaded from the package where it is needed.
      if (source.endsWith("llhttp/llhttp-wasm.js"))
        return { id: "undici/lib/llhttp/llhttp-wasm.js", external: true };
      return ids[source] ?? null;
    },
    load: (id) => texts[id] ?? null,
  };
}

function keepOutside(dist) {
  const errors = join(dist, "core", "errors.js");
  return {
    name: "keep-outside",
    resolveId(source, importer, { kind }) {
      if (!importer?.startsWith(dist + sep) || source.startsWith("node:")) return null;
      if (source.startsWith(".")) {
        const id = resolve(importer, "..", source);
        return kind === "dynamic-import" || id === errors ? { id, external: true } : null;
      }
      const inlined = INLINED.some((name) => source === name || source.startsWith(`${name}/`));
      return inlined ? null : { id: source, external: true };
    },
  };
}

/**
 * Modules that TypeScript compiled to CommonJS load all that they import before they do anything. Here each import of
 * @oclif/core is loaded when it is first used: `const a_1 = require("a")` and `a_1.x` become functions. What a start
 * does not use (readline, perf_hooks, ejs, globs) is not loaded.
 */
function lazyRequires() {
  const required = /^const (\w+_\d+) = ((?:tslib_\d+\.)?(?:__import\w+\()?require\("[^"]+"\)\)?);$/gm;
  return {
    name: "lazy-requires",
    transform(code, id) {
      if (!id.includes(join("node_modules", "@oclif", "core", "lib"))) return null;
      const names = [...code.matchAll(required)].map(([, name]) => name);
      if (names.length === 0) return null;
      const uses = new RegExp(`(?<!const )\\b(${names.join("|")})\\b`, "g");
      return code
        .replace(uses, "($1())")
        .replace(required, (_, name, load) => `let ${name}_; const ${name} = () => (${name}_ ??= ${load});`);
    },
  };
}

/**
 * `import { get } from "node:http"` reads every export of the module, also those that are loaded when first read:
 * for node:http that is the whole of fetch, 60 ms. Taken from the module itself, only what is used is read.
 */
export function builtinsWithoutFacade() {
  const imported = /\bimport\s*(?:\*\s*as\s+)?([\w$]+)?\s*,?\s*(\{[^}]*\})?\s*from\s*"(node:[\w/]+)";?/g;
  return {
    name: "builtins-without-facade",
    renderChunk: (code) =>
      code.replace(imported, (_, whole, names, module) => {
        const bound = [whole, names?.replaceAll(/\s+as\s+/g, ": ")].filter(Boolean);
        return bound
          .map((name) => `const ${name} = globalThis.process.getBuiltinModule("${module}");`)
          .join(" ");
      }),
  };
}

/** A text of one byte a character is read in half the time: whatever lies beyond is escaped. */
export function ascii() {
  const escaped = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return {
    name: "ascii",
    generateBundle(_options, bundle) {
      for (const chunk of Object.values(bundle)) chunk.code = chunk.code.replace(/[^\0-\x7f]/g, escaped);
    },
  };
}
