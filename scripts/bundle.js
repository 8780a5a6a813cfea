import { readdirSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import { rolldown } from "rolldown";

/** Inlined into the bundles, with all that they need. Every other package is loaded from where npm put it. */
const INLINED = ["@oclif/core", "eventsource-parser"];

/**
 * Replaces dist/cli/main.js and dist/commands/** by bundles, so that a command loads a handful of files; as
 * installed, @oclif/core alone is 150. What they import lazily stays as it is, and so does core/errors.js: an error
 * of the node that `start` runs must be an instance of the very class that the command knows.
 * bench/startup.ts shows what it saves.
 * @param {string} root directory of the package
 */
export async function bundleCommands(root) {
  const dist = join(root, "dist");
  const commands = readdirSync(join(dist, "commands"), { recursive: true }).filter((name) =>
    name.endsWith(".js"),
  );
  const entries = ["cli/main.js", ...commands.map((name) => `commands/${name.split(sep).join("/")}`)];
  const bundle = await rolldown({
    cwd: dist,
    platform: "node",
    input: Object.fromEntries(entries.map((entry) => [entry.replace(/\.js$/, ""), join(dist, entry)])),
    plugins: [keepOutside(dist), patched(), builtinsWithoutFacade()],
  });
  await bundle.write({
    dir: dist,
    format: "esm",
    minify: { compress: true, mangle: { keepNames: true }, codegen: true },
    entryFileNames: "[name].js",
    chunkFileNames: "chunks/[name].js",
  });
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

/** Lines of inlined packages that cost a start more than they are worth, and what they become. */
const PATCHES = [
  {
    file: join("@oclif", "core", "lib", "config", "plugin.js"),
    // Ids are plain ASCII: sorting them does not need the collation tables of ICU.
    line: ".sort((a, b) => a.id.localeCompare(b.id))",
    becomes: ".sort((a, b) => (a.id < b.id ? -1 : 1))",
  },
];

function patched() {
  return {
    name: "patched",
    transform(code, id) {
      const patch = PATCHES.find(({ file }) => id.endsWith(file));
      if (!patch) return null;
      if (!code.includes(patch.line))
        throw new Error(`${id} has changed: look at its patch in scripts/bundle.js`);
      return code.replace(patch.line, () => patch.becomes);
    },
  };
}

/**
 * `import { get } from "node:http"` reads every export of the module, also those that are loaded when first read:
 * for node:http that is the whole of fetch, 60 ms. Taken from the module itself, only what is used is read.
 */
function builtinsWithoutFacade() {
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
