import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Path from the root of the repository, with slashes, and text. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** The parts that each part of src may import besides itself; `doors` are the files that a part shows to others. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  index: ["client", "node doors", "hub doors"],
  client: ["core", "node doors", "hub doors"],
  commands: [
    "cli",
    "core",
    "runtime",
    "node doors",
    "hub doors",
    "sim doors",
    "tui doors",
    "discovery doors",
  ],
  cli: [
    "cli pure",
    "core",
    "runtime",
    "node doors",
    "hub doors",
    "sim doors",
    "tui doors",
    "discovery doors",
  ],
  tui: ["core", "node doors", "hub doors"],
  sim: ["core", "node pure"],
  // The page that a node serves: a program of its own, which a browser runs. It speaks to the node by HTTP, and shares the
  // types of the bodies and what is pure.
  board: ["core", "node types"],
  node: ["core", "node pure", "discovery doors", "runtime"],
  hub: ["core", "hub pure", "discovery doors", "runtime"],
  runtime: ["core"],
  discovery: ["core", "discovery machines", "runtime"],
  "node pure": ["core"],
  "hub pure": ["core"],
  "cli pure": ["core", "node doors"],
  "discovery machines": ["core"],
  core: [],
};

/** Doors beside `index`. */
const DOORS = ["client", "broadcast", "ids", "keys", "option-kinds"]
  .map((name) => `src/node/${name}`)
  .concat("src/hub/option-kinds");

/** The sockets of discovery; all else in that folder is a machine. */
const DISCOVERY_SHELLS = ["src/discovery/index", "src/discovery/links", "src/discovery/packet-turns"];
/** The shells of the federation of hubs; all else in that folder is a machine. */
const FEDERATION_SHELLS = ["index", "nats"].map((name) => `src/hub/federation/${name}`);

/** Parts without socket, file, clock or dice. */
const PURE = new Set(["core", "sim", "node pure", "hub pure", "cli pure", "discovery machines"]);
/** Folders of pure code inside of an impure part. */
const PURE_FOLDERS = new Set(["federation", "machine", "negentropy", "proof", "replica"]);
// node:module loads string-width when the first text needs it.
const PURE_PACKAGES = new Set(["node:crypto", "node:buffer", "node:module", "cborg", "string-width"]);
const IMPURE =
  /\b(Date\.now|new Date\(\)|performance\.|Math\.random|setTimeout|setInterval|setImmediate|process\.[a-z]|hrtime|fetch\(|console\.|random(?:Bytes|UUID|Int|Fill\w*)|getRandomValues|generateKey\w*)/g;

/** All files under the folders that end in .ts, .tsx or .js. */
export function readSources(folders: readonly string[]): SourceFile[] {
  return folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(ts|tsx|js)$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => ({
        path: path.slice(ROOT.length).replaceAll("\\", "/"),
        text: readFileSync(path, "utf8"),
      })),
  );
}

/** Every breach of the layers and of purity, as `FILE: what`. */
export function breaches(files: readonly SourceFile[]): string[] {
  return files
    .filter(({ path }) => path.startsWith("src/"))
    .flatMap(({ path, text }) => {
      const code = withoutComments(text);
      return [...badImports(path, code), ...(PURE.has(partOf(path)) ? impurities(code) : [])].map(
        (what) => `${path}: ${what}`,
      );
    });
}

/** The modules that a file imports, and whether it takes only types of them. */
export function importsOf(text: string): { readonly specifier: string; readonly typesOnly: boolean }[] {
  const statement =
    /(?:\b(?:import|export)\s+(type\b)?[^;"'()]*?\bfrom|\bimport)\s*\(?\s*["']([^"'\n]+)["']/g;
  return [...withoutComments(text).matchAll(statement)].map(([, type, specifier]) => ({
    specifier: specifier!,
    typesOnly: type !== undefined,
  }));
}

/** Groups of files that import each other in a circle, also for types alone. */
export function importCircles(files: readonly SourceFile[]): string[][] {
  const names = new Map(files.map(({ path }) => [withoutEnding(path), path]));
  const imports = new Map(
    files.map(({ path, text }) => [
      path,
      importsOf(text).flatMap(({ specifier }) =>
        specifier.startsWith(".")
          ? (names.get(withoutEnding(posix.join(posix.dirname(path), specifier))) ?? [])
          : [],
      ),
    ]),
  );
  const reachedFrom = (start: string): Set<string> => {
    const reached = new Set<string>();
    const open = [...imports.get(start)!];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (reached.has(next)) continue;
      reached.add(next);
      open.push(...imports.get(next)!);
    }
    return reached;
  };
  const reached = new Map([...imports.keys()].map((path) => [path, reachedFrom(path)]));
  const inCircles = [...imports.keys()].filter((path) => reached.get(path)!.has(path));
  const circles = inCircles.map((path) =>
    inCircles.filter((other) => reached.get(path)!.has(other) && reached.get(other)!.has(path)),
  );
  return [...new Map(circles.map((circle) => [circle.join(" "), circle])).values()];
}

function withoutEnding(path: string): string {
  return path.replace(/\.(ts|tsx|js)$/, "");
}

function badImports(path: string, code: string): string[] {
  const part = partOf(path);
  const allowed = MAY_IMPORT[part];
  if (!allowed) return [`src/${part} is in no layer of docs/architecture.md`];
  return importsOf(code).flatMap(({ specifier, typesOnly }) => {
    if (!specifier.startsWith(".")) {
      const impure = PURE.has(part) && !typesOnly && !PURE_PACKAGES.has(specifier);
      return impure ? [`is pure, but imports ${specifier}`] : [];
    }
    const target = posix.join(posix.dirname(path), specifier);
    const other = partOf(target);
    const door = isDoor(target) && allowed.includes(`${areaOf(target)} doors`);
    const isShared = typesOnly && other === "node" && isDoor(target) && allowed.includes("node types");
    return other === part || door || isShared || allowed.includes(other)
      ? []
      : [`${part} must not import ${target}`];
  });
}

function impurities(code: string): string[] {
  return [...code.matchAll(IMPURE)].map((match) => `is pure, but uses ${match[0]}`);
}

/** `src/node/replica/item.ts` is part `node pure`, `src/node/http/gate.ts` is part `node`. */
function partOf(path: string): string {
  const area = areaOf(path);
  const bare = withoutEnding(path);
  if (bare.startsWith("src/node/board/")) return "board";
  if (area === "discovery") return DISCOVERY_SHELLS.includes(bare) ? area : "discovery machines";
  if (FEDERATION_SHELLS.includes(bare)) return area;
  return path
    .split("/")
    .slice(2, -1)
    .some((folder) => PURE_FOLDERS.has(folder))
    ? `${area} pure`
    : area;
}

function areaOf(path: string): string {
  return path.split("/")[1]!.replace(/\.(ts|tsx|js)$/, "");
}

function isDoor(path: string): boolean {
  const bare = withoutEnding(path);
  return DOORS.includes(bare) || /^src\/(\w+\/)?\w+\/index$/.test(bare);
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|[^:"'`\\])\/\/.*$/gm, "$1");
}
