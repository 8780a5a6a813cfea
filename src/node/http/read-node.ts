import { body, list, ref, refusals, text } from "./json-schema.js";
import { Query } from "./query.js";
import type { ApiContext, Route } from "./route.js";

/** GET /v1/status */
export function status({ service }: ApiContext): Route {
  return {
    method: "GET",
    url: "/v1/status",
    role: "read",
    schema: {
      summary: "The node and the set it holds",
      tags: ["node"],
      querystring: {
        type: "object",
        properties: { since: text("Take the fingerprint from here: ISO 8601, epoch ms, or `10m` (ago).") },
      },
      response: { 200: body("The status.", ref("NodeStatus")), ...refusals("badRequest", "unauthorized") },
    },
    handle(request, reply) {
      const sinceMs = new Query(request.raw.url!, ["since"]).instant("since");
      reply.header("cache-control", "no-store");
      return service.status(sinceMs === undefined ? undefined : { sinceMs });
    },
  };
}

/** GET /v1/peers */
export function peers({ service }: ApiContext): Route {
  return {
    method: "GET",
    url: "/v1/peers",
    role: "read",
    schema: {
      summary: "The other nodes, as this one knows them",
      tags: ["node"],
      response: {
        200: body("Connected peers, and those that left or were lost lately.", list("Peers.", ref("Peer"))),
        ...refusals("unauthorized"),
      },
    },
    handle(_request, reply) {
      reply.header("cache-control", "no-store");
      return service.peers();
    },
  };
}

/** GET /healthz: the process answers. */
export function healthz(): Route {
  return {
    method: "GET",
    url: "/healthz",
    schema: {
      summary: "Whether the process answers",
      tags: ["probes"],
      response: { 200: body("It does.", ref("Probe")), ...refusals() },
    },
    handle: () => ({ status: "ok" }),
  };
}

/** GET /readyz: first reconciliation done, or nobody to reconcile with. */
export function readyz({ service }: ApiContext): Route {
  return {
    method: "GET",
    url: "/readyz",
    schema: {
      summary: "Whether the node has caught up with its cluster",
      tags: ["probes"],
      response: {
        200: body("It has, or it found no peer.", ref("Probe")),
        503: body("Not yet, or not any more.", ref("Probe")),
      },
    },
    handle(_request, reply) {
      if (service.ready) return { status: "ready" };
      reply.code(503);
      return { status: service.status().state };
    },
  };
}
