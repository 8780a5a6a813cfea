import * as Flags from "@oclif/core/flags";
import { readFlagFile } from "./flag-file.js";

/** Of every command that talks to a hub. */
export const HUB_TOKEN_FLAG = Flags.file({
  description: "File that holds the token of the hub; HUBCAST_TOKEN may hold the token itself.",
  env: "HUBCAST_TOKEN_FILE",
  helpValue: "PATH",
});

/** The token to show: from the file that the flag names, else HUBCAST_TOKEN. @throws usage */
export async function hubToken(tokenFile: string | undefined): Promise<string | undefined> {
  if (tokenFile === undefined) return process.env.HUBCAST_TOKEN?.trim() || undefined;
  return (await readFlagFile(tokenFile, "--token-file")).split(/\s/)[0];
}
