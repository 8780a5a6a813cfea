import { refusals } from "./json-schema.js";
import type { Route } from "./route.js";
import { SCHEMAS } from "./schemas.js";

/** GET /openapi.json. Describes every route of the list that it is appended to. */
export function openApi(version: () => string, routes: readonly Route[]): Route {
  let document: Promise<object> | undefined;
  const self: Route = {
    method: "GET",
    url: "/openapi.json",
    role: "read",
    schema: {
      summary: "This description",
      tags: ["probes"],
      response: {
        200: { description: "OpenAPI 3.1.", content: { "application/json": { schema: { type: "object" } } } },
        ...refusals("unauthorized"),
      },
    },
    handle() {
      document ??= describe(version(), [...routes, self]);
      return document;
    },
  };
  return self;
}

/** Made by a second, silent fastify on first demand: most nodes are never asked, and none pays at its start. */
async function describe(version: string, routes: readonly Route[]): Promise<object> {
  const [{ fastify }, { default: swagger }] = await Promise.all([
    import("fastify"),
    import("@fastify/swagger"),
  ]);
  const app = fastify({ exposeHeadRoutes: false });
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "hubcast node",
        version,
        description: "A node of a broadcast cluster: post items to any node, read them from every other.",
      },
      components: {
        schemas: SCHEMAS as Record<string, object>,
        securitySchemes: { bearer: { type: "http", scheme: "bearer" } },
      },
    },
  });
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => JSON.stringify);
  for (const { method, url, role, schema } of routes) {
    const security = role === undefined ? [] : [{ bearer: [] }];
    app.route({ method, url, schema: { ...schema, security } as object, handler: () => undefined });
  }
  await app.ready();
  const document = app.swagger();
  await app.close();
  return document;
}
