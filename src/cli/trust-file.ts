import { unwatchFile, watchFile } from "node:fs";
import { HubcastError } from "../core/errors.js";
import { readFlagLines } from "./flag-file.js";

/** How often the file is looked at: by name, so that one that is renamed over it, or sits on a share, is seen too. */
const LOOK_MS = 500;

/**
 * The public keys in a trust file: one a line, 64 hex digits, `#` begins a comment.
 * @throws usage when it cannot be read, has no key, or a line that is none: nobody is trusted, or distrusted, by a slip
 */
export async function readTrustFile(path: string): Promise<readonly string[]> {
  const lines = await readFlagLines(path, "--trust");
  const keys = lines.map((line) => {
    const [, key] = /^([0-9a-f]{64})(?:\s+#.*)?$/i.exec(line) ?? [];
    if (key) return key.toLowerCase();
    throw new HubcastError("usage", `--trust: "${line.slice(0, 80)}" in ${path} is no public key`, {
      suggestions: ["Write 64 hex digits a line, as hubcast keys show FILE prints them; # begins a comment."],
    });
  });
  if (keys.length > 0) return keys;
  throw new HubcastError("usage", `--trust: there is no key in ${path}`);
}

/** A trust file that is being watched. */
export interface TrustWatch {
  /** Reads it now. */
  look(): void;
  stop(): void;
}

/** Tells when the keys in a trust file change, or that they cannot be read now. */
export function watchTrustFile(
  path: string,
  changed: (keys: readonly string[]) => void,
  failed: (error: Error) => void,
): TrustWatch {
  let stopped = false;
  const look = () => {
    readTrustFile(path).then(
      (keys) => stopped || changed(keys),
      (error: Error) => stopped || failed(error),
    );
  };
  watchFile(path, { interval: LOOK_MS }, look);
  // It may have changed between its first reading and now.
  look();
  return {
    look,
    stop() {
      stopped = true;
      unwatchFile(path, look);
    },
  };
}
