import { hash } from "node:crypto";
import type { Policy } from "./context.js";
import type { Item } from "./item.js";
import { SCHEMES, type SignatureScheme, schemeOf, signerOf } from "./signature.js";

export interface PolicyRules {
  /** Schemes that are accepted; absent: all of them, or only ed25519 where `keys` are given. */
  readonly schemes?: readonly SignatureScheme[] | undefined;
  /** Public keys whose ed25519 signatures are accepted, 64 lower-case hex digits each; absent: anybody's. */
  readonly keys?: readonly string[] | undefined;
}

/** Which schemes and which authors a node accepts. The keys may change while it runs. */
export class TrustPolicy implements Policy {
  readonly #schemes: ReadonlySet<SignatureScheme> | undefined;
  #keys: ReadonlySet<string> | undefined;
  #text = "";

  constructor({ schemes, keys }: PolicyRules = {}) {
    this.#schemes = schemes && new Set(schemes);
    this.#keys = keys && new Set(keys);
    this.#text = this.#describe();
  }

  /** Short enough for a hello: names the schemes and a hash of the keys (docs/protocol-signatures.md#policy). */
  get text(): string {
    return this.#text;
  }

  accepts({ signature }: Item): boolean {
    if (this.#text === "") return true;
    const scheme = schemeOf(signature);
    if (scheme === undefined || !this.#accepted().has(scheme)) return false;
    return scheme !== "ed25519" || (this.#keys?.has(signerOf(signature)!) ?? true);
  }

  /** Trusts these keys from now on, and no others. @returns whether that changes anything */
  trust(keys: readonly string[]): boolean {
    const before = this.#text;
    this.#keys = new Set(keys);
    this.#text = this.#describe();
    return this.#text !== before;
  }

  #accepted(): ReadonlySet<SignatureScheme> {
    return this.#schemes ?? (this.#keys ? AUTHORED : ALL);
  }

  #describe(): string {
    const accepted = this.#accepted();
    if (accepted.size === ALL.size && !this.#keys) return "";
    const schemes = [...ALL].filter((scheme) => accepted.has(scheme)).join("+");
    if (!this.#keys) return schemes;
    return `${schemes} keys:${hash("sha256", [...this.#keys].sort().join("\n")).slice(0, 16)}`;
  }
}

const ALL: ReadonlySet<SignatureScheme> = new Set(SCHEMES);
const AUTHORED: ReadonlySet<SignatureScheme> = new Set(["ed25519"]);
