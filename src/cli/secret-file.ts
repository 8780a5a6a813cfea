import { writeFile } from "node:fs/promises";
import { HubcastError } from "../core/errors.js";

/**
 * Writes a secret where nobody but its owner can read it (mode 0600).
 * @throws usage when there is a file already, or none can be made
 */
export async function writeSecretFile(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { mode: 0o600, flag: "wx" });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EEXIST")
      throw new HubcastError("usage", `cannot write --out: ${message}`, { cause: error });
    throw new HubcastError("usage", `${path} exists already, and a key is never written over`, {
      suggestions: ["Name another file, or move that one away."],
    });
  }
}
