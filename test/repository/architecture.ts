import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const LINES_MAX = 250;
/** Tests are tables of cases: they are read one case at a time. */
export const TEST_LINES_MAX = 400;

/** Path from the root of the repository, with slashes, and text. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** What each part of src may import besides itself; `doors` are the files that a part shows to others. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  index: ["core", "node doors", "hub doors"],
  commands: ["cli", "core", "node doors", "hub doors", "sim doors", "tui doors", "net doors"],
  cli: ["core", "node doors", "hub doors", "sim doors", "tui doors", "net doors"],
  tui: ["core", "node doors", "hub doors"],
  sim: ["core", "node protocol"],
  node: ["core", "node protocol", "net doors"],
  hub: ["core", "hub protocol", "net doors"],
  net: ["core", "net protocol"],
  "node protocol": ["core"],
  "hub protocol": ["core"],
  "net protocol": ["core"],
  core: [],
};

/** Doors beside `index`. */
const DOORS = ["src/node/client", "src/node/broadcast", "src/node/keys", "src/hub/client"];

/** Parts without socket, file, clock or dice. */
const PURE = new Set(["core", "sim", "node protocol", "hub protocol", "net protocol"]);
const PURE_PACKAGES = new Set(["node:crypto", "node:buffer", "cborg"]);
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

/** Files that are longer than anyone reads in one go, as `FILE: lines`. */
export function tooLong(files: readonly SourceFile[]): string[] {
  return files
    .map(({ path, text }) => ({ path, lines: text.trimEnd().split("\n").length }))
    .filter(({ path, lines }) => lines > (path.startsWith("test/") ? TEST_LINES_MAX : LINES_MAX))
    .map(({ path, lines }) => `${path}: ${lines} lines`);
}

/** What a file imports: modules, and those of which it takes only types. */
export function importsOf(text: string): { readonly specifier: string; readonly typesOnly: boolean }[] {
  const statement =
    /(?:\b(?:import|export)\s+(type\b)?[^;"'()]*?\bfrom|\bimport)\s*\(?\s*["']([^"'\n]+)["']/g;
  return [...withoutComments(text).matchAll(statement)].map(([, type, specifier]) => ({
    specifier: specifier!,
    typesOnly: type !== undefined,
  }));
}

function badImports(path: string, code: string): string[] {
  const part = partOf(path);
  const allowed = MAY_IMPORT[part];
  if (!allowed) return [`src/${part} is no part of design section 3`];
  return importsOf(code).flatMap(({ specifier, typesOnly }) => {
    if (!specifier.startsWith(".")) {
      const impure = PURE.has(part) && !typesOnly && !PURE_PACKAGES.has(specifier);
      return impure ? [`is pure, but imports ${specifier}`] : [];
    }
    const target = posix.join(posix.dirname(path), specifier);
    const other = partOf(target);
    const door = isDoor(target) && allowed.includes(`${areaOf(target)} doors`);
    return other === part || door || allowed.includes(other) ? [] : [`${part} must not import ${target}`];
  });
}

function impurities(code: string): string[] {
  return [...code.matchAll(IMPURE)].map((match) => `is pure, but uses ${match[0]}`);
}

/** `src/node/protocol/item.ts` is part `node protocol`, `src/node/http/gate.ts` is part `node`. */
function partOf(path: string): string {
  const area = areaOf(path);
  return path.split("/").slice(2, -1).includes("protocol") ? `${area} protocol` : area;
}

function areaOf(path: string): string {
  return path.split("/")[1]!.replace(/\.(ts|tsx|js)$/, "");
}

function isDoor(path: string): boolean {
  const bare = path.replace(/\.(ts|tsx|js)$/, "");
  return DOORS.includes(bare) || /^src\/(\w+\/)?\w+\/index$/.test(bare) || /^src\/net\/[^/]+$/.test(bare);
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|[^:"'`\\])\/\/.*$/gm, "$1");
}
