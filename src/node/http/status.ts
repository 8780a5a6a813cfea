import type { FastifyInstance } from "fastify";
import { flag, list, ref } from "../bodies.js";
import type { ApiContext } from "./options.js";
import { body, instant, instantOf, query, refusals } from "./schemas.js";

/** GET /v1/status, /v1/peers and /v1/access, and the probes /healthz and /readyz. */
export async function statusRoutes(app: FastifyInstance, { node, tokens }: ApiContext): Promise<void> {
  app.get<{ Querystring: { since?: string } }>(
    "/v1/status",
    {
      config: { role: "read" },
      schema: {
        operationId: "getStatus",
        summary: "The node and the set it holds",
        tags: ["node"],
        querystring: query({ since: instant("Take the fingerprint from here") }),
        response: { 200: body("The status.", ref("NodeStatus")), ...refusals("badRequest", "unauthorized") },
      },
    },
    async (request, reply) => {
      const sinceMs = instantOf("since", request.query.since);
      reply.header("cache-control", "no-store");
      return node.statusNow(sinceMs === undefined ? undefined : { sinceMs });
    },
  );

  app.get<{ Querystring: { fresh?: boolean } }>(
    "/v1/peers",
    {
      config: { role: "read" },
      schema: {
        operationId: "listPeers",
        summary: "The other members, as this node knows them",
        tags: ["node"],
        querystring: query({ fresh: flag("`true`: ask all members what they hold, for 1 s at most.") }),
        response: {
          200: body("All other members, and those that left or were lost.", list("Members.", ref("Peer"))),
          ...refusals("badRequest", "unauthorized"),
        },
      },
    },
    async (request, reply) => {
      reply.header("cache-control", "no-store");
      return request.query.fresh ? await node.peers({ fresh: true }) : node.peersNow();
    },
  );

  app.get(
    "/v1/access",
    {
      schema: {
        operationId: "getAccess",
        summary: "What the caller may do with the token that it shows, or without one",
        tags: ["node"],
        response: {
          200: body("The role of the caller.", ref("Access")),
          ...refusals("unauthorized", "tooManyGuesses"),
        },
      },
    },
    async (request, reply) => {
      reply.header("cache-control", "no-store");
      return { role: tokens.roleOf(request.headers.authorization, request.raw.socket.remoteAddress) };
    },
  );

  app.get(
    "/healthz",
    {
      exposeHeadRoute: true,
      schema: {
        operationId: "getHealth",
        summary: "Whether the process answers",
        tags: ["probes"],
        response: { 200: body("It does.", ref("Probe")), ...refusals() },
      },
    },
    async () => ({ status: "ok" }),
  );

  app.get(
    "/readyz",
    {
      exposeHeadRoute: true,
      schema: {
        operationId: "getReady",
        summary: "Whether the node has caught up with its cluster",
        tags: ["probes"],
        response: {
          ...refusals(),
          200: body("It has, or it found no peer.", ref("Probe")),
          503: {
            description: "Not yet, or not any more.",
            content: {
              "application/json": { schema: ref("Probe") },
              "application/problem+json": { schema: ref("Problem") },
            },
          },
        },
      },
    },
    async (_request, reply) => {
      if (node.ready) return { status: "ready" };
      reply.code(503);
      return { status: node.statusNow().state };
    },
  );
}
