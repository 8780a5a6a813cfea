import { ERRORS, type ErrorCode } from "../../core/errors.js";

/** Short words for the JSON schemas of the API. */
export function ref(name: string): { readonly $ref: string } {
  return { $ref: `#/components/schemas/${name}` };
}

/** A body of one media type. */
export function body(description: string, schema: object, mediaType = "application/json"): object {
  return { description, content: { [mediaType]: { schema } } };
}

/** Rows of `response` for every code that a route may refuse with; codes of any route are added. */
export function refusals(...codes: readonly ErrorCode[]): Record<number, object> {
  const rows = new Map<number, string[]>();
  for (const code of [...codes, ...EVERYWHERE]) {
    const { httpStatus = 500 } = ERRORS[code] as { httpStatus?: number };
    rows.set(httpStatus, [...(rows.get(httpStatus) ?? []), `\`${code}\`: ${ERRORS[code].meaning}`]);
  }
  return Object.fromEntries(
    [...rows].map(([status, lines]) => [
      status,
      body(lines.join(" "), ref("Problem"), "application/problem+json"),
    ]),
  );
}

const EVERYWHERE: readonly ErrorCode[] = ["foreignOrigin", "foreignHost", "stopping", "bug"];

export function object(description: string, properties: object, required = Object.keys(properties)): object {
  return { type: "object", description, properties, required };
}

export function text(description: string): object {
  return { type: "string", description };
}

export function count(description: string): object {
  return { type: "integer", minimum: 0, description };
}

export function number(description: string): object {
  return { type: "number", minimum: 0, description };
}

export function flag(description: string): object {
  return { type: "boolean", description };
}

export function choice(description: string, values: readonly string[]): object {
  return { type: "string", enum: values, description };
}

export function list(description: string, items: object): object {
  return { type: "array", description, items };
}

export function counters(description: string, names: readonly string[]): object {
  return object(
    description,
    Object.fromEntries(names.map((name) => [name, { type: "integer", minimum: 0 }])),
  );
}
