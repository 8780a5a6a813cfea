import { asHubcastError, HubcastError } from "../core/errors.js";
import { nearest } from "./nearest.js";

/** Commands that plugins bring: no plugin is loaded when a command line is misspelt. */
const PLUGIN_COMMANDS = ["help", "autocomplete"];

/** What oclif's parser throws. */
interface OclifError extends Error {
  readonly oclif: { readonly exit?: number };
  /** Words that look like flags but are none. */
  readonly flags?: readonly string[];
  readonly parse?: { readonly input?: { readonly flags?: Readonly<Record<string, unknown>> } };
}

/**
 * Any error that a command line can end with, as one of ours: what oclif's parser throws becomes `usage`, what
 * nobody threw on purpose becomes `bug`.
 * @param commandIds as oclif writes them, `broadcast:post`
 */
export function asFailure(
  error: unknown,
  argv: readonly string[],
  commandIds: readonly string[],
): HubcastError {
  if (error instanceof HubcastError) return ofFlagValue(error);
  if (!isOclifError(error)) return asHubcastError(error);

  const notFound = /^command (\S+) not found$/.exec(error.message)?.[1];
  if (notFound !== undefined) return unknownCommand(notFound, commandIds);
  const help = `Run ${["hubcast", ...commandWords(argv, commandIds)].join(" ")} --help to see how it is called.`;
  const message = error.flags
    ? `unknown flag ${error.flags.join(", ")}`
    : lowerFirst(withoutHelpLine(error.message));
  return new HubcastError("usage", message, { suggestions: [...flagsMeant(error), help], cause: error });
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
  const meant = nearest(id, [...commandIds, ...PLUGIN_COMMANDS])?.replaceAll(":", " ");
  if (meant) suggestions.unshift(`Did you mean hubcast ${meant}?`);
  return new HubcastError("usage", `there is no command "${id.replaceAll(":", " ")}"`, { suggestions });
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
    .replace(/^The following errors? occurred:\s*/, "");
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
