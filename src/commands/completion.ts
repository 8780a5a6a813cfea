import * as Args from "@oclif/core/args";
import type { Command } from "@oclif/core/command";
import { BaseCommand } from "../cli/base-command.js";

const SHELLS = ["bash", "zsh"] as const;

export default class Completion extends BaseCommand<typeof Completion> {
  static override summary = "Print a script that completes commands, flags and their values in a shell.";
  static override examples = [
    { description: "In this bash:", command: "source <(<%= config.bin %> <%= command.id %> bash)" },
    {
      description: "In each zsh from now on:",
      command: "echo 'source <(<%= config.bin %> <%= command.id %> zsh)' >> ~/.zshrc",
    },
  ];
  static override args = {
    shell: Args.string({ description: "The shell.", required: true, options: [...SHELLS] }),
  };

  async run(): Promise<void> {
    const shell = this.args.shell as (typeof SHELLS)[number];
    this.output.bytes(Buffer.from(completionScript(this.config.bin, this.config.commands, shell)));
  }
}

type Flag = Command.Flag.Cached;

/**
 * A script that completes command lines in bash, and in zsh by its bash completion: commands, flags anywhere behind their
 * command, the values of flags that have few, and files.
 * @param commands as the manifest has them, ids with colons
 */
function completionScript(bin: string, commands: readonly Command.Cached[], shell: "bash" | "zsh"): string {
  const visible = commands.filter(({ hidden }) => !hidden);
  const paths = new Set(visible.flatMap(({ id }) => prefixes(id.split(":"))));
  const next = [...new Set(["", ...paths])].map((path): Case => {
    const command = visible.find(({ id }) => id.split(":").join(" ") === path);
    return [path, command ? wordsBehind(command) : nextWords(path, [...paths])];
  });
  const flags = visible.flatMap(({ id, flags }) =>
    Object.values(flags).flatMap((flag) => {
      const names = flag.char ? [`--${flag.name}`, `-${flag.char}`] : [`--${flag.name}`];
      return names.map((name) => ({ place: `${id.replaceAll(":", " ")} ${name}`, flag }));
    }),
  );
  const valued = flags.filter(({ flag }) => flag.type === "option");
  const files = valued.filter(({ flag }) => takesFile(flag)).map(({ place }) => place);
  const listed = valued.flatMap(({ place, flag }): Case[] =>
    valuesOf(flag).length > 0 ? [[place, valuesOf(flag)]] : [],
  );
  const others = valued.map(({ place }) => place).filter((place) => !files.includes(place));
  return `${shell === "zsh" ? "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n" : ""}_${bin}() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" prefix="" command="" words="" at
  # bash takes the sign in --flag=value for a word of its own, zsh leaves it where it is.
  if [[ "$cur" == "=" ]]; then cur=""; elif [[ "$prev" == "=" ]]; then prev="\${COMP_WORDS[COMP_CWORD-2]}"; fi
  if [[ "$cur" == --*=* ]]; then prev="\${cur%%=*}"; prefix="$prev="; cur="\${cur#*=}"; fi
  for ((at = 1; at < COMP_CWORD; at++)); do
    case "$command \${COMP_WORDS[at]}" in
      ${patterns([...paths].map((path) => ` ${path}`))}) command="$command \${COMP_WORDS[at]}" ;;
      *) break ;;
    esac
  done
  case "\${command# } $prev" in
${listed.map(([place, values]) => `    ${patterns([place])}) words="${values.join(" ")}" ;;\n`).join("")}    ${patterns(files)})
      COMPREPLY=($(compgen -P "$prefix" -f -- "$cur"))
      type compopt >/dev/null 2>&1 && compopt -o filenames 2>/dev/null
      return ;;
    ${patterns(others.filter((place) => !listed.some(([one]) => one === place)))}) return ;;
    *)
      case "\${command# }" in
${next.map(([path, words]) => `        ${patterns([path])}) words="${words.join(" ")}" ;;\n`).join("")}      esac ;;
  esac
  COMPREPLY=($(compgen -P "$prefix" -W "$words" -- "$cur"))
}
complete -F _${bin} ${bin}
`;
}

/** The words behind that path of words. */
type Case = readonly [path: string, words: readonly string[]];

/** `a`, `a b`, ... */
function prefixes(words: readonly string[]): string[] {
  return words.map((_, index) => words.slice(0, index + 1).join(" "));
}

function nextWords(path: string, paths: readonly string[]): string[] {
  const start = path === "" ? "" : `${path} `;
  const rest = paths.filter((other) => other.startsWith(start)).map((other) => other.slice(start.length));
  return rest.filter((words) => words !== "" && !words.includes(" "));
}

/** Words that may follow a command: the values that its arguments list, and its flags. */
function wordsBehind({ args, flags }: Command.Cached): string[] {
  return Object.values(args)
    .flatMap(({ options = [] }) => options)
    .concat(flagWords(flags));
}

function flagWords(flags: Command.Cached["flags"]): string[] {
  return Object.values(flags)
    .filter(({ hidden }) => !hidden)
    .flatMap((flag) => [
      `--${flag.name}`,
      ...(flag.type === "boolean" && flag.allowNo ? [`--no-${flag.name}`] : []),
    ])
    .concat("--help");
}

function takesFile(flag: Flag): boolean {
  return flag.type === "option" && /^(FILE|PATH)\b/.test(String(flag.helpValue));
}

/** The values that a flag has by name: its options, or the words of `K|all`. */
function valuesOf(flag: Flag): readonly string[] {
  if (flag.type !== "option") return [];
  return (
    flag.options ??
    String(flag.helpValue ?? "")
      .split("|")
      .filter((word) => /^[a-z][a-z0-9]*$/.test(word))
  );
}

function patterns(texts: readonly string[]): string {
  return texts.map((text) => `"${text}"`).join("|");
}
