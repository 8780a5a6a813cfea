import { rm, writeFile } from "node:fs/promises";
import { HubcastError } from "../core/errors.js";
import type { ItemDraft } from "../node/broadcast.js";
import { publicKeyOf, readSigningKey, signItem } from "../node/keys.js";
import { readFlagFile } from "./flag-file.js";

/** Signs items with the key in the file of `--sign-key`. @throws usage */
export async function itemSigner(path: string): Promise<(draft: ItemDraft) => ItemDraft> {
  const key = readSigningKey(await readFlagFile(path, "--sign-key"));
  if (key) return (draft) => signItem(draft, key);
  throw noKey(`--sign-key: ${path} holds no Ed25519 private key (PKCS#8 PEM, without passphrase)`);
}

/** The public key, 64 hex digits, of a file with a private or public one. @throws usage */
export async function publicKey(path: string): Promise<string> {
  const key = publicKeyOf(await readFlagFile(path, "FILE"));
  if (key) return key;
  throw noKey(`${path} holds no Ed25519 key (PEM, without passphrase)`);
}

/**
 * Writes a secret to a new file that only its owner can read (mode 0600).
 * @throws usage when there is a file already, or none can be made
 */
export async function writeSecretFile(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { mode: 0o600, flag: "wx" });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EEXIST") {
      // A part of a key is useless, and would be in the way the next time.
      await rm(path, { force: true }).catch(() => {});
      throw new HubcastError("usage", `cannot write --out: ${message}`, { cause: error });
    }
    throw new HubcastError("usage", `${path} exists already, and a key is never written over`, {
      suggestions: ["Name another file, or move that one away."],
    });
  }
}

function noKey(message: string): HubcastError {
  return new HubcastError("usage", message, {
    suggestions: ["Make one: hubcast keys generate --out author.pem"],
  });
}
