import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { rolldown } from "rolldown";
import { parseAst } from "rolldown/parseAst";

const DOORS = ["index.js", "client.js"];

/** Modules that are imported, started or forked by their names at run time, beside the commands. */
const NAMED = [
  ...[...DOORS, "cli/main.js", "core/string-width.js"],
  ...["hub/simulate/hub-process.js", "hub/simulate/worker.js"],
  ...["node/storage/sqlite-thread.js", "node/storage/sqlite-file.js"],
  ...["node/verification/thread.js", "node/replica/signature.js"],
];

/**
 * Joins the compiled modules and all packages that they use into dist: an entry for each command and door, and chunks that
 * are read when something needs them. docs/decisions/0005 says why.
 * @param {string} from directory of the compiled modules
 * @param {string} to
 * @param {{ eager?: boolean, inPage?: string[] }} [options] eager: the text of @oclif/core is bundled as it is, see
 *   lazyRequires; inPage: files that are in the page of the board
 */
export async function bundle(from, to, { eager = false, inPage = [] } = {}) {
  const commands = filesOf(join(from, "commands")).filter((name) => name.endsWith(".js"));
  const entries = [...NAMED, ...commands.map((name) => `commands/${name}`)];
  const bundle = await rolldown({
    cwd: from,
    platform: "node",
    input: {
      ...Object.fromEntries(entries.map((entry) => [entry.replace(/\.js$/, ""), join(from, entry)])),
      ...Object.fromEntries(Object.keys(LATE_PACKAGES).map((entry) => [entry, entry])),
    },
    plugins: [
      undiciInPart(),
      latePackages(),
      plainAssert(),
      pinoWithoutThreads(),
      withoutDevtools(),
      ...(eager ? [] : [lazyRequires()]),
      placesKept(from, entries),
      requireWithoutPlace(),
      builtinsWithoutFacade(),
      statementLines(),
      ascii(),
    ],
    // Undici's own switch for those who bundle it: leaves out a second parser of HTTP, an experiment.
    transform: { define: { esbuildDetection: "true", "process.env.NODE_ENV": '"production"' } },
  });
  const { output } = await bundle.write({
    dir: to,
    format: "esm",
    minify: { compress: true, mangle: { keepNames: true }, codegen: true },
    entryFileNames: "[name].js",
    chunkFileNames: "chunks/[name].js",
    codeSplitting: { groups: GROUPS },
  });
  for (const name of typesOf(from, DOORS)) cpSync(join(from, name), join(to, name));
  writeFileSync(
    join(to, "licenses.txt"),
    licensesOf([...inPage, ...output.flatMap(({ moduleIds = [] }) => moduleIds)]),
  );
}

/** The declarations that those of the doors import, and theirs. A package would be missing where they are used. */
function typesOf(from, doors) {
  const names = new Set(doors.map((door) => door.replace(/\.js$/, ".d.ts")));
  for (const name of names) {
    for (const [, imported] of readFileSync(join(from, name), "utf8").matchAll(
      /(?:from|import\()\s*"([^"]+)"/g,
    )) {
      if (imported.startsWith(".")) names.add(join(name, "..", imported.replace(/\.js$/, ".d.ts")));
      else if (!imported.startsWith("node:")) throw new Error(`the types of ${name} need ${imported}`);
    }
  }
  return names;
}

/** The licenses of the packages inside, which ask for that. */
function licensesOf(modules) {
  const inside = modules.map((id) => /^.*node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(id)?.[0]);
  const texts = [...new Set(inside.filter((directory) => directory !== undefined))]
    .sort()
    .map((directory) => {
      const { name, version, license, author } = JSON.parse(
        readFileSync(join(directory, "package.json"), "utf8"),
      );
      const files = readdirSync(directory).filter((file) => /^(licen[cs]e|notice)/i.test(file));
      const said = files.map((file) => readFileSync(join(directory, file), "utf8").trim());
      const text = said.length > 0 ? said.join("\n\n") : `By ${author?.name ?? author ?? "its authors"}.`;
      return `${name} ${version} (${license})\n\n${text}\n`;
    });
  const line = `\n${"-".repeat(80)}\n\n`;
  return ["hubcast holds these packages.\n", ...texts].join(line);
}

/** Modules that are needed together lie in one file: each file costs half a millisecond to find, read and link. */
const GROUPS = [
  {
    name: "core",
    test: /rolldown[\\/]runtime|[\\/]build[\\/]src[\\/](core[\\/](?!string-width)|runtime[\\/]start-step)/,
    priority: 3,
  },
  // For every command: the parser, and what ours share.
  {
    name: "command",
    test: /[\\/]@oclif[\\/]|[\\/]build[\\/]src[\\/]cli[\\/](base-command|client-command|failure|flag-file|flags|input|output|signals)/,
    priority: 1,
  },
  // Loaded by require, so in no file that awaits at its top, as ink's does. Other packages have one of their own inside.
  {
    name: "string-width",
    test: /^((?!node_modules).)*node_modules[\\/](string-width|get-east-asian-width)[\\/]/,
    priority: 3,
  },
  { name: "undici", test: /undici(?!.*llhttp-wasm)/, priority: 3 },
  {
    name: "node-client",
    test: /[\\/]build[\\/]src[\\/]node[\\/](client|arguments|bodies|remote|ids)/,
    priority: 2,
  },
  // The libraries that few commands need, under their names.
  // Fastify requires it too, and would draw it into its file: a hub without monitoring logs, and serves no HTTP.
  { name: "pino", test: /node_modules[\\/](pino|sonic-boom)[\\/]/, priority: 1 },
  { name: "fastify", test: /node_modules[\\/]@?fastify[\\/]/, priority: 0 },
  { name: "libp2p", test: /node_modules[\\/]@?libp2p[\\/]/, priority: 0 },
  { name: "nats", test: /node_modules[\\/]@nats-io[\\/]/, priority: 0 },
  { name: "ink", test: /node_modules[\\/](ink|react|react-reconciler|yoga-layout)[\\/]/, priority: 0 },
];

/** The parts of undici that src uses, each from its file. Its index loads fetch, mocks, caches and proxies as well: 40 ms. */
const UNDICI_IN_PART = `
import Dispatcher from "undici/lib/dispatcher/dispatcher.js";
import api from "undici/lib/api/index.js";
Object.assign(Dispatcher.prototype, api);
export { default as Pool } from "undici/lib/dispatcher/pool.js";
export { default as RetryAgent } from "undici/lib/dispatcher/retry-agent.js";
`;

function undiciInPart() {
  const texts = {
    "\0undici": UNDICI_IN_PART,
    // 10 ms. Undici goes without HTTP/2 where Node was built without it; nodes speak HTTP/1.1.
    "\0no-http2": 'throw new Error("HTTP/2 is left out of the bundle");',
    // 1 ms. Undici takes a limit of it.
    "\0few-of-http.cjs": "module.exports = { maxHeaderSize: 16_384, IncomingMessage: class {} };",
  };
  return {
    name: "undici-in-part",
    resolveId(source, importer) {
      if (source === "undici") return "\0undici";
      if (!importer?.includes(join("node_modules", "undici"))) return null;
      if (source === "node:http2") return "\0no-http2";
      return source === "node:http" ? "\0few-of-http.cjs" : null;
    },
    load: (id) => texts[id] ?? null,
  };
}

/**
 * Modules that undici and @oclif/core require when they first need them, by the files that hold them in dist: undici's
 * second parser, for machines without SIMD, and the globs, templates and spinners of @oclif/core, a third of its text,
 * of which only the help needs some.
 */
const LATE_PACKAGES = {
  "packages/llhttp-wasm": "undici/lib/llhttp/llhttp-wasm.js",
  "packages/cli-spinners": "cli-spinners",
  "packages/ejs": "ejs",
  "packages/minimatch": "minimatch",
  "packages/tinyglobby": "tinyglobby",
};

function latePackages() {
  const users = /node_modules[\\/](undici|@oclif[\\/]core)[\\/]/;
  return {
    name: "late-packages",
    resolveId(source, importer) {
      if (source in LATE_PACKAGES) return `\0${source}.cjs`;
      const entry = `packages/${basename(source, ".js")}`;
      return users.test(importer) && entry in LATE_PACKAGES ? `\0late/${entry}.cjs` : null;
    },
    load(id) {
      const [, late, entry] = /^\0(late\/)?(packages\/.*)\.cjs$/.exec(id) ?? [];
      if (!entry) return null;
      if (!late) return `module.exports = require("${LATE_PACKAGES[entry]}");`;
      return `
        const { createRequire } = require("node:module");
        module.exports = createRequire(${placeOf(`${entry}.js`)})("./${basename(entry)}.js").default;`;
    },
  };
}

/** Undici and pino's stream take the function of node:assert alone, which loads in 1 ms and takes 2 MiB. */
function plainAssert() {
  const text = `
    module.exports = (value, message) => {
      if (!value) throw message instanceof Error ? message : new Error(message ?? "assertion failed");
    };`;
  const users = ["undici", "sonic-boom"];
  return {
    name: "plain-assert",
    resolveId(source, importer) {
      const user = users.find((name) => importer?.includes(join("node_modules", name, sep)));
      // One module for each: what both share would join their chunks.
      return user && /^(node:)?assert$/.test(source) ? `\0assert-of-${user}.cjs` : null;
    },
    load: (id) => (id.startsWith("\0assert-of-") ? text : null),
  };
}

/** A log is written by its own process, at once: transports, which are threads of their own, load a megabyte. */
function pinoWithoutThreads() {
  const texts = { "\0no-transport": "export {};", "\0main-thread": "export const isMainThread = true;" };
  return {
    name: "pino-without-threads",
    resolveId(source, importer) {
      if (!importer?.includes(join("node_modules", "pino", sep))) return null;
      if (source.endsWith("/transport")) return "\0no-transport";
      return source === "worker_threads" ? "\0main-thread" : null;
    },
    load: (id) => texts[id] ?? null,
  };
}

/**
 * Ink imports its devtools.js only for those who debug components. In one chunk with the rest of Ink it would run whenever
 * that is loaded, and dial port 8097.
 */
function withoutDevtools() {
  const id = "\0no-devtools";
  return {
    name: "without-devtools",
    resolveId: (source, importer) =>
      source === "./devtools.js" && importer.includes(join("node_modules", "ink", sep)) ? id : null,
    load: (loaded) => (loaded === id ? "export {};" : null),
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
 * A chunk lies elsewhere than the modules that are joined in it, and some of them name files beside them: `import.meta.url`
 * stays the place that the module would have in dist. The files that they name must be entries.
 */
function placesKept(from, entries) {
  const known = new Set(entries);
  const nameOf = (path) => relative(from, path).replaceAll(sep, "/");
  return {
    name: "places-kept",
    transform(code, id) {
      if (!id.startsWith(from + sep) || !code.includes("import.meta.url")) return null;
      // `new URL("./NAME", import.meta.url)`, and `createRequire(import.meta.url)("./NAME")`.
      for (const [, name] of code.matchAll(/(?:new URL|import\.meta\.url\))\(["'`](\.[^"'`$]*)/g)) {
        const named = nameOf(resolve(id, "..", `${name.replace(/\.js$/, "")}.js`));
        if (!known.has(named)) throw new Error(`${id} names ${named} at run time: it must be an entry`);
      }
      return code.replaceAll("import.meta.url", placeOf(nameOf(id)));
    },
    renderChunk: (code, { fileName }) =>
      code.replaceAll(/placeInDist\(["'`]([^"'`]+)["'`]\)/g, (_, name) => {
        const path = relative(dirname(fileName), name).replaceAll(sep, "/");
        return `new URL("${path}", import.meta.url).href`;
      }),
  };
}

/** An expression for the URL of a file of dist, whichever chunk it stands in. */
function placeOf(name) {
  return `placeInDist("${name}")`;
}

/**
 * Packages in CommonJS require built-in modules, which needs no place. A program that is bundled as CommonJS, with this
 * library inside, has no `import.meta.url`.
 */
function requireWithoutPlace() {
  return {
    name: "require-without-place",
    renderChunk: (code) =>
      code.replace(
        /createRequire\(import\.meta\.url\)/,
        `Object.assign(
          (name) => globalThis.process.getBuiltinModule(name) ?? createRequire(import.meta.url)(name),
          { resolve: (...args) => createRequire(import.meta.url).resolve(...args) },
        )`,
      ),
  };
}

/**
 * `import { get } from "node:http"` reads every export of the module, also those that are loaded when first read:
 * for node:http that is the whole of fetch, 60 ms. Taken from the module itself, only what is used is read. Of modules
 * that take a megabyte of memory and more, and that many runs never use, functions load them when they are called.
 */
function builtinsWithoutFacade() {
  const imported = /\bimport\s*(?:\*\s*as\s+)?([\w$]+)?\s*,?\s*(?:\{([^}]*)\})?\s*from\s*"(node:[\w/]+)";?/g;
  return {
    name: "builtins-without-facade",
    renderChunk: (code) =>
      code.replace(imported, (_, whole, names = "", module) => {
        const loaded = `globalThis.process.getBuiltinModule("${module}")`;
        const lines = whole ? [`const ${whole} = ${loaded};`] : [];
        for (const name of names.split(",").filter((text) => text.trim() !== "")) {
          const [exported, local = exported] = name.trim().split(/\s+as\s+/);
          const value = process.getBuiltinModule(module)[exported];
          const late = !whole && LATE_BUILTINS.has(module);
          if (late && isPlainFunction(value))
            lines.push(`const ${local} = (...args) => ${loaded}.${exported}(...args);`);
          else if (late && isOnlyConstructed(local, code))
            lines.push(
              `const ${local} = function (...args) { return new (${loaded}.${exported})(...args); };`,
            );
          else lines.push(`const { ${exported}: ${local} } = ${loaded};`);
        }
        return lines.join(" ");
      }),
  };
}

const LATE_BUILTINS = new Set(
  ["child_process", "crypto", "fs/promises", "tls", "v8", "vm"].map((name) => `node:${name}`),
);

/** Not a class, and nothing hangs on it, as `util.promisify.custom` does on execFile. */
function isPlainFunction(value) {
  const own = ["length", "name", "prototype"];
  const isFunction = typeof value === "function" && !/^[A-Z]/.test(value.name);
  return isFunction && Reflect.ownKeys(value).every((key) => own.includes(key));
}

/** Whether code makes instances of a class, and does nothing else with it. */
function isOnlyConstructed(name, code) {
  const uses = code.match(new RegExp(`(?<![\\w$.])${name.replaceAll("$", "\\$")}(?![\\w$])`, "g")) ?? [];
  const made = code.match(new RegExp(`\\bnew ${name.replaceAll("$", "\\$")}(?![\\w$])`, "g")) ?? [];
  return uses.length === made.length + 1;
}

/** Node prints the line of an error that nobody caught: each statement has its own, and not a whole chunk. */
function statementLines() {
  const begins = /^(?!Block).*(Statement|Declaration|Definition)$/;
  const startsIn = (node) => [
    ...(begins.test(node.type) ? [node.start] : []),
    ...Object.values(node)
      .flat()
      .filter((child) => child?.type)
      .flatMap(startsIn),
  ];
  return {
    name: "statement-lines",
    generateBundle(_options, bundle) {
      for (const chunk of Object.values(bundle)) {
        const starts = [...new Set([0, ...startsIn(parseAst(chunk.code))])].sort((a, b) => a - b);
        chunk.code = starts.map((start, index) => chunk.code.slice(start, starts[index + 1])).join("\n");
      }
    },
  };
}

/** A text of one byte a character is read in half the time: whatever lies beyond is escaped. */
function ascii() {
  const escaped = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return {
    name: "ascii",
    generateBundle(_options, bundle) {
      for (const chunk of Object.values(bundle)) chunk.code = chunk.code.replace(/[^\0-\x7f]/g, escaped);
    },
  };
}

function filesOf(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)).replaceAll(sep, "/"))
    .sort();
}
