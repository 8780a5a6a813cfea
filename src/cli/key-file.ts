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

function noKey(message: string): HubcastError {
  return new HubcastError("usage", message, {
    suggestions: ["Make one: hubcast keys generate --out author.pem"],
  });
}
