import { asHubcastError, HubcastError } from "../../core/errors.js";
import { parseInstant } from "../../core/units.js";

/** The query of one request. Every reader throws badRequest and names the parameter. */
export class Query {
  readonly #values: ReadonlyMap<string, string>;

  /** @param known the parameters of the route: a misspelt one must not be silently without effect */
  constructor(url: string, known: readonly string[]) {
    const start = url.indexOf("?");
    const values = new Map<string, string>();
    for (const [name, value] of start < 0 ? [] : new URLSearchParams(url.slice(start + 1))) {
      if (!known.includes(name) || values.has(name)) {
        const fault = values.has(name) ? "is given twice" : "is not known here";
        throw badQuery(`the query parameter "${name.slice(0, 100)}" ${fault}`, [
          known.length > 0 ? `Known parameters: ${known.join(", ")}.` : "This call takes no parameters.",
        ]);
      }
      values.set(name, value);
    }
    this.#values = values;
  }

  text(name: string): string | undefined {
    return this.#values.get(name);
  }

  /** @returns epoch ms */
  instant(name: string): number | undefined {
    const text = this.#values.get(name);
    if (text === undefined) return undefined;
    try {
      return parseInstant(text, Date.now());
    } catch (cause) {
      const { message, suggestions } = asHubcastError(cause);
      throw badQuery(`${name}: ${message}`, suggestions);
    }
  }

  wholeNumber(name: string, min: number, max: number): number | undefined {
    const text = this.#values.get(name);
    if (text === undefined) return undefined;
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw badQuery(`${name} "${text.slice(0, 100)}" is not a whole number from ${min} to ${max}`, []);
  }
}

function badQuery(message: string, suggestions: readonly string[]): HubcastError {
  return new HubcastError("badRequest", message, { suggestions });
}
