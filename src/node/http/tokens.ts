import { hash, timingSafeEqual } from "node:crypto";
import { HubcastError } from "../../core/errors.js";
import type { Role, Token } from "./options.js";

const ADVICE = "Send the header `Authorization: Bearer TOKEN` (the CLI reads HUBCAST_TOKEN).";

/** Who may do what. Tokens are kept and compared as hashes, all of them each time, so timing tells nothing. */
export class TokenTable {
  readonly #rows: readonly { readonly digest: Buffer; readonly role: Role }[];

  constructor(tokens: readonly Token[]) {
    this.#rows = tokens.map(({ token, role }) => ({ digest: hash("sha256", token, "buffer"), role }));
  }

  /** No tokens: everybody may do everything. */
  get isEmpty(): boolean {
    return this.#rows.length === 0;
  }

  /**
   * @param authorization the header of that name
   * @throws unauthorized without a known token, forbidden when its role does not suffice
   */
  check(authorization: string | undefined, needed: Role): void {
    if (authorization === undefined) throw unauthorized("this node asks for a token");
    const presented = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
    if (presented === undefined)
      throw unauthorized("the Authorization header is not of the form Bearer TOKEN");
    const digest = hash("sha256", presented, "buffer");
    let role: Role | undefined;
    for (const row of this.#rows) {
      if (timingSafeEqual(row.digest, digest) && role !== "post") role = row.role;
    }
    if (role === undefined) throw unauthorized("the token is none of this node's");
    if (needed === "post" && role !== "post") {
      throw new HubcastError("forbidden", "this token may read, but not post", {
        suggestions: ["Use a token whose role is post."],
      });
    }
  }
}

function unauthorized(message: string): HubcastError {
  return new HubcastError("unauthorized", message, { suggestions: [ADVICE] });
}
