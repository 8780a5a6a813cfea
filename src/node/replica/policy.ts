import { hash } from "node:crypto";
import { hasTopic } from "../../core/topic.js";
import type { Policy, PolicyRefusal } from "./context.js";
import type { Item } from "./item.js";
import { SCHEMES, type SignatureScheme, schemeOf, signerOf } from "./signature.js";

/** A public key, 64 hex digits: alone, or with the topics that it may sign under. */
export type Trusted = string | { readonly key: string; readonly topics: readonly string[] };

export interface PolicyRules {
  /** Schemes that are accepted; absent: all of them, or only ed25519 where `keys` are given. */
  readonly schemes?: readonly SignatureScheme[] | undefined;
  /** Keys whose ed25519 signatures are accepted; absent: any key. */
  readonly keys?: readonly Trusted[] | undefined;
}

/** The topics of each key, sorted; nothing for a key that may sign everywhere. */
type Keys = ReadonlyMap<string, readonly string[] | undefined>;

/** Which schemes and which authors a node accepts. The keys may change while it runs. */
export class TrustPolicy implements Policy {
  readonly #schemes: ReadonlySet<SignatureScheme> | undefined;
  #keys: Keys | undefined;
  #text = "";

  constructor({ schemes, keys }: PolicyRules = {}) {
    this.#schemes = schemes && new Set(schemes);
    this.#keys = keys && keysOf(keys);
    this.#text = this.#describe();
  }

  /** Short enough for a hello: names the schemes and a hash of the keys (docs/protocol-signatures.md#policy). */
  get text(): string {
    return this.#text;
  }

  refusalOf(item: Item): PolicyRefusal | undefined {
    if (this.#text === "") return undefined;
    const { signature } = item;
    const scheme = schemeOf(signature);
    if (scheme === undefined || !this.#accepted().has(scheme)) return "refusedByPolicy";
    if (scheme !== "ed25519" || !this.#keys) return undefined;
    const key = signerOf(signature)!;
    if (!this.#keys.has(key)) return "refusedByPolicy";
    const topics = this.#keys.get(key);
    if (!topics) return undefined;
    const { id } = item;
    return topics.some((topic) => hasTopic(id, topic)) ? undefined : "refusedTopic";
  }

  /** Trusts these keys from now on, and no others. @returns whether that changes anything */
  trust(keys: readonly Trusted[]): boolean {
    const before = this.#text;
    this.#keys = keysOf(keys);
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
    const lines = [...this.#keys].map(([key, topics = []]) =>
      [key, ...topics.map((topic) => `${topic}/`)].join(" "),
    );
    return `${schemes} keys:${hash("sha256", lines.sort().join("\n")).slice(0, 16)}`;
  }
}

const ALL: ReadonlySet<SignatureScheme> = new Set(SCHEMES);
const AUTHORED: ReadonlySet<SignatureScheme> = new Set(["ed25519"]);

/** A key that is given more than once may sign under the topics of all. */
function keysOf(trusted: readonly Trusted[]): Keys {
  const keys = new Map<string, readonly string[] | undefined>();
  for (const each of trusted) {
    if (typeof each === "string") keys.set(each.toLowerCase(), undefined);
    else {
      const key = each.key.toLowerCase();
      keys.set(key, [...new Set([...(keys.get(key) ?? []), ...each.topics])].sort());
    }
  }
  return keys;
}
