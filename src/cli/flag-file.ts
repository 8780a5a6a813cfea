import { readFile } from "node:fs/promises";
import { HubcastError } from "../core/errors.js";

/**
 * The text of a file that a flag names, without white space around it.
 * @param flag for the error: `--token-file`
 * @throws usage when it cannot be read, or is empty
 */
export async function readFlagFile(path: string, flag: string): Promise<string> {
  let text: string;
  try {
    text = (await readFile(path, "utf8")).trim();
  } catch (error) {
    throw new HubcastError("usage", `cannot read ${flag}: ${(error as Error).message}`, { cause: error });
  }
  if (text === "") throw new HubcastError("usage", `${flag}: ${path} is empty`);
  return text;
}

/** The lines of such a file, without empty ones and comments (`# ...`). */
export async function readFlagLines(path: string, flag: string): Promise<readonly string[]> {
  const lines = (await readFlagFile(path, flag)).split("\n").map((line) => line.trim());
  return lines.filter((line) => line !== "" && !line.startsWith("#"));
}
