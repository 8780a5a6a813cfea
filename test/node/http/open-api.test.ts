import { once } from "node:events";
import http from "node:http";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Nodes } from "../../fixtures/nodes.js";

interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: object }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, unknown>> };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, unknown>> }>>;
}

interface Document {
  readonly components: { readonly schemas: object };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

interface Call {
  readonly path: string;
  readonly method: string;
  readonly query: Readonly<Record<string, string>>;
  readonly id: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

interface Answered {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
}

const METHODS = ["get", "post", "head", "put", "patch", "delete", "options", "query", "trace"];

/** Checks answers against what /openapi.json says of them. */
class Described {
  readonly #ajv = new Ajv2020({ strict: false });
  readonly #validators = new Map<string, ValidateFunction>();

  constructor(readonly document: Document) {
    this.#ajv.addSchema(document, "document");
  }

  /** The fault of the answer, or nothing. */
  fault({ path, method }: Call, { status, headers, text }: Answered): string | undefined {
    const operations = this.document.paths[path]!;
    const operation = operations[method];
    if (status >= 500 && status !== 503 && status !== 507) return `status ${status}`;
    if (operation === undefined) {
      const allowed = headers.allow?.toLowerCase().split(", ") ?? [];
      const isTold = Object.keys(operations).every((known) => allowed.includes(known));
      // Probes answer HEAD; a foreign page is turned away before anybody looks at the method.
      const isFine = (status === 405 && isTold) || status === 403 || (method === "head" && status === 200);
      if (!isFine) return `status ${status}, allow ${headers.allow}`;
      if (method === "head") return text === "" ? undefined : "a body behind HEAD";
      return this.#bodyFault("#/components/schemas/Problem", "application/problem+json", text);
    }
    const contents = operation.responses[status]?.content;
    if (contents === undefined) return `status ${status} is not described: ${text}`;
    const type = headers["content-type"]?.split(";", 1)[0] ?? "";
    if (!(type in contents)) return `content type ${type} of status ${status} is not described`;
    const pointer = ["paths", path, method, "responses", `${status}`, "content", type, "schema"];
    return this.#bodyFault(`#/${pointer.map(escapePointer).join("/")}`, type, text);
  }

  #bodyFault(pointer: string, type: string, text: string): string | undefined {
    const isLines = type === "application/x-ndjson";
    const lines = isLines ? text.split("\n").filter((line) => line !== "") : [text];
    if (!type.endsWith("json")) return undefined;
    let validate = this.#validators.get(pointer);
    if (validate === undefined) {
      validate = this.#ajv.compile({ $ref: `document${pointer}${isLines ? "/x-lines" : ""}` });
      this.#validators.set(pointer, validate);
    }
    for (const line of lines) {
      if (!validate(JSON.parse(line))) return `${this.#ajv.errorsText(validate.errors)}: ${line}`;
    }
    return undefined;
  }
}

function escapePointer(part: string): string {
  return encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"));
}

/** Calls of every operation, with every method: as it is described, nearly so, and not at all. */
function callsOf({ paths }: Document, authorizations: readonly string[]): fc.Arbitrary<Call> {
  const names = new Set(
    Object.values(paths).flatMap((operations) =>
      Object.values(operations).flatMap(({ parameters }) => parameters?.map(({ name }) => name) ?? []),
    ),
  );
  const instants = ["10m", "0.5ms", "99999999d", "0000-01-01", "2026-01-31T12:00:00Z", "999999999999999"];
  const value = fc.oneof(
    fc.constantFrom("", "all", "1", "2", "10000", "true", "0.0", ...instants),
    fc.string({ unit: "binary", maxLength: 20 }),
  );
  const types = ["application/json", "application/x-ndjson", "text/plain", "*/*", "", "x"];
  const ids = fc.oneof(fc.constantFrom("known", "a/b", "é", "%", "."), fc.string({ maxLength: 300 }));
  const draft = fc.record(
    { id: ids, raw: value, signature: fc.string(), timestampMs: fc.oneof(fc.integer(), fc.double()) },
    { requiredKeys: [] },
  );
  return fc.record({
    path: fc.constantFrom(...Object.keys(paths)),
    method: fc.constantFrom("get", "post", ...METHODS),
    query: fc.oneof(
      fc.constant({}),
      fc.dictionary(fc.constantFrom(...names, "other"), value, { maxKeys: 3 }),
    ),
    id: ids.filter((id) => id.isWellFormed() && id !== ""),
    headers: fc.record(
      {
        authorization: fc.constantFrom(...authorizations),
        "content-type": fc.constantFrom(...types),
        accept: fc.constantFrom(...types),
        origin: fc.constantFrom("null", "http://evil.example"),
        host: fc.constantFrom("localhost", "evil.example"),
        "last-event-id": fc.string({ unit: fc.constantFrom("0", "1", "-", "a"), maxLength: 9 }),
      },
      { requiredKeys: ["authorization"] },
    ),
    body: fc.oneof(
      draft.map((fields) => JSON.stringify(fields)),
      fc.json(),
      fc.string(),
    ),
  });
}

/** An answer that never ends is left after its head. */
async function ask(base: string, { path, method, query, id, headers, body }: Call): Promise<Answered> {
  const search = `${new URLSearchParams(query)}`;
  const url = `${base}${path.replace("{id}", encodeURIComponent(id))}${search === "" ? "" : `?${search}`}`;
  const { authorization, ...others } = headers;
  const request = http.request(url, {
    method: method.toUpperCase(),
    headers: {
      ...others,
      ...(authorization && { authorization }),
      "content-length": Buffer.byteLength(body),
    },
    agent: false,
  });
  request.end(body);
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  let text = "";
  if (response.headers["content-type"]?.startsWith("text/event-stream")) response.destroy();
  else for await (const chunk of response) text += chunk;
  return { status: response.statusCode!, headers: response.headers, text };
}

test.each([
  ["without a token", undefined],
  ["with a token", "secret"],
])("every answer of a node %s is as /openapi.json describes it", async (_, token) => {
  await using nodes = new Nodes();
  const tokens = token === undefined ? [] : [{ token, role: "post" } as const];
  const limits = { requestTimeoutMs: 5_000 };
  const [node] = await nodes.startMesh(2, { http: { port: 0, tokens, limits } });
  await node!.post({ id: "known", raw: "x" });
  const bearer = token === undefined ? "" : `Bearer ${token}`;
  const document = await fetch(`${node!.url}/openapi.json`, {
    headers: token ? { authorization: bearer } : {},
  });
  const described = new Described((await document.json()) as Document);
  const authorizations = [...Array<string>(4).fill(bearer), "", "Bearer wrong", "Basic x"];
  await fc.assert(
    fc.asyncProperty(callsOf(described.document, authorizations), async (call) => {
      expect(described.fault(call, await ask(node!.url!, call))).toBeUndefined();
    }),
    { numRuns: 300 },
  );
});
