import { hash, timingSafeEqual } from "node:crypto";
import { HubcastError } from "../core/errors.js";
import { networkOf } from "../core/hosts.js";
import { LIMITS } from "../core/limits.js";
import { TokenBuckets } from "../core/rates.js";

/** Rights of a token: `read` allows every GET and the seed's list, `post` also posting. */
export type Role = "read" | "post";

export interface Token {
  /** Visible ASCII, as it stands behind `Bearer `. */
  readonly token: string;
  readonly role: Role;
}

/** A token that matched. The name is the same however the token was shown; it is not the token itself. */
interface Match {
  readonly name: string;
  readonly role: Role;
}

/** The state of an address besides the number of guesses it has left. */
interface Guesser {
  /** Names of tokens that were shown from there while it had guesses left. */
  known: Set<string>;
  /** The last wrong one: repeating it counts as no further guess. */
  wrong: string;
}

const ADVICE = "Send the header `Authorization: Bearer TOKEN` (the CLI reads HUBCAST_TOKEN).";

/**
 * The tokens of a server. They are kept and compared as hashes, all of them each time, so that timing leaks nothing.
 *
 * An address that has shown too many wrong tokens gets no verdict on another one until it has guesses left again. Tokens
 * that matched from that address before still match, so that guessing on a machine does not lock out the programs that
 * already run there.
 */
export class TokenTable {
  #rows: readonly (Match & { readonly digest: Buffer })[];
  readonly #guessers = new TokenBuckets<Guesser>({
    perSecond: LIMITS.tokenGuessesPerSecond,
    burst: LIMITS.tokenGuessesMax,
    namesMax: LIMITS.tokenGuessersMax,
  });

  /**
   * @param server its name in errors, "node" or "hub"
   * @param onLimited told the address that has no guess left, once until it has one again
   */
  constructor(
    tokens: readonly Token[],
    private readonly server: string,
    private readonly onLimited: (address: string) => void = () => {},
    private readonly now: () => number = Date.now,
  ) {
    this.#rows = rowsOf(tokens);
  }

  /** Takes these tokens from now on, and no others. Work begun with another token goes on. @throws as checkRenewal */
  renew(tokens: readonly Token[]): void {
    this.checkRenewal(tokens);
    this.#rows = rowsOf(tokens);
  }

  /** @throws invalidOption where tokens are asked for now and would not be then, or the other way round */
  checkRenewal(tokens: readonly Token[]): void {
    if (this.isEmpty !== (tokens.length === 0))
      throw new HubcastError(
        "invalidOption",
        `whether the ${this.server} asks for tokens is settled when it starts`,
        {
          suggestions: ["Start it again with other tokens, or none."],
        },
      );
  }

  /** No tokens: every caller may do everything. */
  get isEmpty(): boolean {
    return this.#rows.length === 0;
  }

  /**
   * @param shown by the program at that address
   * @returns what it may do, or why it is turned away
   */
  match(
    shown: string | Buffer,
    remoteAddress: string | undefined,
  ): Match | "unauthorized" | "tooManyGuesses" {
    const digest = hash("sha256", shown, "buffer");
    let match: Match | undefined;
    for (const row of this.#rows) {
      if (timingSafeEqual(row.digest, digest) && match?.role !== "post") match = row;
    }
    const guesser = this.#guessers.of(networkOf(remoteAddress), this.now());
    if (match !== undefined && (guesser.tokens >= 1 || guesser.known?.has(match.name))) {
      guesser.known ??= new Set();
      guesser.known.add(match.name);
      return match;
    }
    if (guesser.tokens < 1) return "tooManyGuesses";
    const wrong = digest.toString("base64url");
    if (guesser.wrong !== wrong) {
      guesser.wrong = wrong;
      guesser.tokens -= 1;
      if (guesser.tokens < 1) this.onLimited(networkOf(remoteAddress));
    }
    return "unauthorized";
  }

  /**
   * @param authorization the header of that name
   * @returns a name of the token that matched
   * @throws unauthorized without a known token, tooManyGuesses, forbidden when its role does not suffice
   */
  check(authorization: string | undefined, needed: Role, remoteAddress: string | undefined): string {
    if (authorization === undefined) throw unauthorized(`this ${this.server} asks for a token`);
    const match = this.#matchOf(authorization, remoteAddress);
    if (needed === "post" && match.role !== "post") {
      throw new HubcastError("forbidden", "this token may read, but not post", {
        suggestions: ["Use a token whose role is post."],
      });
    }
    return match.name;
  }

  /**
   * The rights of a caller: all where no token is required, none without one.
   * @throws unauthorized when the token is wrong, tooManyGuesses
   */
  roleOf(authorization: string | undefined, remoteAddress: string | undefined): Role | "none" {
    if (this.isEmpty) return "post";
    return authorization === undefined ? "none" : this.#matchOf(authorization, remoteAddress).role;
  }

  #matchOf(authorization: string, remoteAddress: string | undefined): Match {
    const presented = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
    if (presented === undefined)
      throw unauthorized("the Authorization header is not of the form Bearer TOKEN");
    const match = this.match(presented, remoteAddress);
    if (match === "unauthorized") throw unauthorized(`the token is none of this ${this.server}'s`);
    if (match === "tooManyGuesses") {
      throw new HubcastError(
        match,
        "too many wrong tokens came from this address: no other is looked at now",
        {
          suggestions: ["Wait a second, then try again with the right token."],
        },
      );
    }
    return match;
  }
}

function rowsOf(tokens: readonly Token[]) {
  return tokens.map(({ token, role }) => {
    const digest = hash("sha256", token, "buffer");
    return { digest, role, name: digest.toString("base64url") };
  });
}

function unauthorized(message: string): HubcastError {
  return new HubcastError("unauthorized", message, { suggestions: [ADVICE] });
}
