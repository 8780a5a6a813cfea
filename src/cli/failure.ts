import { asHubcastError, HubcastError } from "../core/errors.js";
import { counted, nearest } from "../core/text.js";
import type { Receipt } from "../node/broadcast.js";

/** `hubcast help WORDS` is `hubcast WORDS --help`. It is no command of the manifest. */
export const HELP_COMMAND = "help";

/** An error of oclif's parser. */
interface OclifError extends Error {
  readonly oclif: { readonly exit?: number };
  /** Words that look like flags but are none. */
  readonly flags?: readonly string[];
  readonly parse?: { readonly input?: { readonly flags?: Readonly<Record<string, unknown>> } };
}

/**
 * Any error that a command line can end with, as a HubcastError: errors of oclif's parser become `usage`, unexpected
 * ones become `bug`.
 * @param commandIds as oclif writes them, `broadcast:post`
 */
export function asFailure(
  error: unknown,
  argv: readonly string[],
  commandIds: readonly string[],
): HubcastError {
  if (error instanceof HubcastError) return ofValue(ofVariable(ofFlagValue(error), argv), argv);
  if (!isOclifError(error)) return asHubcastError(error);

  const notFound = /^command (\S+) not found$/.exec(error.message)?.[1];
  if (notFound !== undefined) return unknownCommand(notFound, commandIds);
  const help = `Run ${["hubcast", ...commandWords(argv, commandIds)].join(" ")} --help to see how it is called.`;
  const message = error.flags
    ? `unknown flag ${error.flags.join(", ")}`
    : lowerFirst(withoutHelpLine(error.message));
  const suggestions = [...flagsMeant(error), help];
  return ofVariable(new HubcastError("usage", message, { suggestions, cause: error }), argv);
}

/** Why an accepted item is late: fewer nodes held it than were asked for, at its deadline or when nobody was left who could. */
export function lateError({ alone, holders, missing, refused }: Receipt): HubcastError {
  const those = (word: string, members: Receipt["missing"]) =>
    members.length === 0 ? [] : [`${word}: ${members.map(({ name }) => name).join(", ")}`];
  const why = [...those("missing", missing), ...those("refused by policy", refused)];
  const what =
    why.length > 0 ? why.join("; ") : alone ? "no other node is connected" : "no more nodes are connected";
  const held = `${counted(holders.length, "other node")} ${holders.length === 1 ? "holds" : "hold"} the item`;
  return new HubcastError("deadline", `${held}; ${what}`, {
    suggestions: [
      "The item is accepted and still spreads; see hubcast broadcast peers.",
      ...(missing.length > 0 ? ["Or give it longer: --timeout 30s"] : []),
    ],
  });
}

/** A flag in an error that was not given comes from its environment variable, so the message names the variable. */
function ofVariable(error: HubcastError, argv: readonly string[]): HubcastError {
  if (error.code !== "usage" && error.code !== "invalidOption") return error;
  const given = argv.map((word) => word.replace(/^-+/, "").split("=", 1)[0]);
  const prefix = argv[0] === "hub" && argv[1] === "start" ? "HUBCAST_HUB_" : "HUBCAST_";
  const message = error.message.replaceAll(/--([a-z][a-z0-9-]+)/g, (flag, name: string) => {
    const variable = `${prefix}${name.toUpperCase().replaceAll("-", "_")}`;
    return given.includes(name) || process.env[variable] === undefined ? flag : variable;
  });
  if (message === error.message) return error;
  return new HubcastError(error.code, message, { suggestions: error.suggestions, cause: error.cause });
}

/** An error that quotes a value names the flag or variable that the value is from, where it names none. */
function ofValue(error: HubcastError, argv: readonly string[]): HubcastError {
  if ((error.code !== "usage" && error.code !== "invalidOption") || /--[a-z]|HUBCAST_/.test(error.message))
    return error;
  const given = argv.flatMap((word, index) => {
    const [flag = "", value = argv[index + 1]] = word.split(/=(.*)/s);
    return flag.startsWith("--") ? [[flag, value] as const] : [];
  });
  const variables = Object.entries(process.env).filter(([name]) => name.startsWith("HUBCAST_"));
  const isQuoted = (value: string | undefined) =>
    (value?.split(",") ?? []).some(
      (part) => part !== "" && error.message.includes(JSON.stringify(part.trim())),
    );
  const source = [...given, ...variables].find(([, value]) => isQuoted(value))?.[0];
  if (source === undefined) return error;
  const { code, message, suggestions, cause } = error;
  return new HubcastError(code, `${source}: ${message}`, { suggestions, cause });
}

/** Our own parsers throw our own errors, which oclif frames in three lines: "Parsing --since \n\tREASON\nSee ...". */
function ofFlagValue(error: HubcastError): HubcastError {
  const framed = /^Parsing (--\S+) \n\t([\s\S]*)\nSee more help with --help$/.exec(error.message);
  if (!framed) return error;
  return new HubcastError(error.code, `${framed[1]}: ${framed[2]}`, {
    suggestions: error.suggestions,
    cause: error,
  });
}

/** `this.exit(code)` of a command or plugin, which has printed its own message. */
export function isExit(error: unknown): error is { oclif: { exit: number } } {
  return error instanceof Error && (error as { code?: unknown }).code === "EEXIT";
}

function isOclifError(error: unknown): error is OclifError {
  return error instanceof Error && "oclif" in error;
}

/** @param id what oclif took for a command: all words up to the first flag, with colons */
function unknownCommand(id: string, commandIds: readonly string[]): HubcastError {
  const suggestions = ["Run hubcast --help to see all commands."];
  if (id.startsWith("-")) return new HubcastError("usage", `unknown flag ${id}`, { suggestions });
  const command = commandIds.find((known) => id.startsWith(`${known}:`));
  if (command) {
    const words = command.replaceAll(":", " ");
    return new HubcastError("usage", `unexpected argument "${id.slice(command.length + 1)}"`, {
      suggestions: [`Run hubcast ${words} --help to see how it is called.`],
    });
  }
  const meant = commandsMeant(id, commandIds).map((known) => `hubcast ${known.replaceAll(":", " ")}`);
  if (meant.length > 0) suggestions.unshift(`Did you mean ${meant.join(", or ")}?`);
  return new HubcastError("usage", `there is no command "${id.replaceAll(":", " ")}"`, { suggestions });
}

/** Commands of a similar name; else commands with that word under another topic, or none: `post hello`, `hub post`. */
function commandsMeant(id: string, commandIds: readonly string[]): readonly string[] {
  const near = nearest(id, [...commandIds, HELP_COMMAND]);
  if (near) return [near];
  const [first = "", second = first] = id.split(":");
  const word = commandIds.some((known) => known.startsWith(`${first}:`)) ? second : first;
  const lastWord = (known: string) => known.slice(known.lastIndexOf(":") + 1);
  const meant = nearest(word, commandIds.map(lastWord));
  return commandIds.filter((known) => lastWord(known) === meant);
}

function flagsMeant(error: OclifError): string[] {
  const known = Object.keys(error.parse?.input?.flags ?? {});
  return (error.flags ?? []).flatMap((word) => {
    const meant = nearest(word.replace(/^-+/, ""), known);
    return meant ? [`Did you mean --${meant}?`] : [];
  });
}

/** The words at the start of a command line that lead towards a command: `broadcast post`. */
function commandWords(argv: readonly string[], commandIds: readonly string[]): readonly string[] {
  const leads = (count: number) => {
    const id = argv.slice(0, count).join(":");
    return commandIds.some((known) => known === id || known.startsWith(`${id}:`));
  };
  let count = 0;
  while (count < argv.length && leads(count + 1)) count++;
  return argv.slice(0, count);
}

function withoutHelpLine(message: string): string {
  return message
    .replace(/\nSee more help with --help$/, "")
    .replace(/^The following errors? occurred:\s*/, "")
    .replace(/^(--[\w-]+)=true\b/, "$1")
    .replace(/^(Unexpected arguments?): (.*)$/, '$1 "$2"')
    .replace(/\s*\n\s*/g, "; ");
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
