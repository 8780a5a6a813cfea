import { readFileSync } from "node:fs";

/**
 * The man page, hubcast(1): every command with its arguments, flags and examples, as oclif.manifest.json has them.
 * @param {{ commands: Record<string, object> }} manifest
 * @param {{ version: string, description: string, oclif: { topics: Record<string, { description: string }> } }} pjson
 * @param {string} date of the page, as it is shown
 * @returns {string} for man(7)
 */
export function manPage(manifest, pjson, date) {
  const commands = Object.values(manifest.commands).filter(({ hidden }) => !hidden);
  const globals = Object.values(commands[0].flags).filter(isGlobal);
  return [
    `.TH HUBCAST 1 "${date}" "hubcast ${pjson.version}" "User Commands"`,
    ...section("NAME", text(`hubcast - ${lowerFirst(pjson.description)}`)),
    ...section("SYNOPSIS", [".B hubcast", ".I COMMAND", "[arguments] [flags]"]),
    ...section("DESCRIPTION", [
      ...Object.values(pjson.oclif.topics).flatMap(({ description }) => [".PP", ...text(description)]),
      ".PP",
      ...text(
        "Every command has --help, --json for programs, and an exit code that tells kinds of failure apart.",
      ),
      ...text("The flags of broadcast start and hub start are variables too, and some of other commands."),
    ]),
    ...section("COMMANDS", commands.flatMap(commandLines)),
    ...section("GLOBAL FLAGS", globals.flatMap(flagLines)),
    ...section(
      "EXIT STATUS",
      exitCodes().flatMap(([code, meaning]) => [".TP", `.B ${code}`, ...text(meaning)]),
    ),
    ...section("FILES", [
      ...file(
        "/etc/default/hubcast-node, /etc/default/hubcast-hub",
        "Settings of the two systemd units, variables of broadcast start and hub start.",
      ),
      ...file("/etc/hubcast", "Keys and tokens that the services may read."),
      ...file("/var/lib/hubcast-node", "What the node of hubcast-node.service keeps."),
    ]),
    ...section("SEE ALSO", [".BR systemctl (1),", ".BR avahi-browse (1)"]),
    "",
  ].join("\n");
}

function section(name, lines) {
  return [`.SH ${name}`, ...lines];
}

function commandLines({ id, summary, description, args, flags, examples = [] }) {
  const words = id.replaceAll(":", " ");
  const names = Object.values(args).map(({ name, required }) =>
    required ? name.toUpperCase() : `[${name.toUpperCase()}]`,
  );
  const own = Object.values(flags).filter((flag) => !flag.hidden && !isGlobal(flag));
  return [
    `.SS "hubcast ${escaped([words, ...names].join(" "))}"`,
    ...text(summary),
    ...(description ? [".PP", ...text(description)] : []),
    ...Object.values(args).flatMap((arg) => [
      ".TP",
      `.I ${escaped(arg.name.toUpperCase())}`,
      ...text(arg.description ?? ""),
    ]),
    ...own.flatMap(flagLines),
    ...examples.flatMap((example) => exampleLines(example, words)),
  ];
}

function flagLines({ name, char, type, allowNo, helpValue, options, description, default: value, env }) {
  const names = [...(char ? [`-${char}`] : []), `--${allowNo ? "[no-]" : ""}${name}`].map(
    (word) => `\\fB${escaped(word)}\\fR`,
  );
  const operand = type === "option" ? ` \\fI${escaped(helpValue ?? options?.join("|") ?? "VALUE")}\\fR` : "";
  const more = [
    ...(value !== undefined && value !== "" && typeof value !== "object" && type === "option"
      ? [`Default: ${value}.`]
      : []),
    ...(env ? [`Variable: ${env}.`] : []),
  ];
  return [".TP", `${names.join(", ")}${operand}`, ...text([description ?? "", ...more].join(" "))];
}

function exampleLines(example, words) {
  const { description, command } = typeof example === "string" ? { command: example } : example;
  const line = command.replaceAll("<%= config.bin %>", "hubcast").replaceAll("<%= command.id %>", words);
  return [
    ".PP",
    ...(description ? text(description) : []),
    ".RS 4",
    ".nf",
    ...line.split("\n").map(guarded),
    ".fi",
    ".RE",
  ];
}

function isGlobal({ helpGroup }) {
  return helpGroup === "GLOBAL";
}

/** The table of docs/errors.md. */
function exitCodes() {
  const [, table] = readFileSync("docs/errors.md", "utf8").split("## Exit codes\n");
  const rows = [...table.matchAll(/^\| (\d+) \| (.*) \|$/gm)].map(([, code, meaning]) => [code, meaning]);
  if (rows.length === 0) throw new Error("docs/errors.md has no table of exit codes");
  return rows;
}

function file(path, what) {
  return [".TP", `.I ${escaped(path)}`, ...text(what)];
}

/** Sentences, each on its own line as man(7) wants it. */
function text(prose) {
  return prose
    .trim()
    .split(/\n+|(?<=[.!?]) (?=[A-Z])/)
    .filter(Boolean)
    .map(guarded);
}

/** A line that is text, however it begins. */
function guarded(line) {
  return escaped(line).replace(/^([.'])/, "\\&$1");
}

function escaped(prose) {
  return prose.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll('"', "\\(dq");
}

function lowerFirst(prose) {
  return prose.charAt(0).toLowerCase() + prose.slice(1);
}
