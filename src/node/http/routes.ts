import { HubcastError } from "../../core/errors.js";
import { events } from "./events.js";
import { metrics } from "./metrics.js";
import { openApi } from "./open-api.js";
import { postItem } from "./post-item.js";
import { getItem, listItems } from "./read-items.js";
import { healthz, peers, readyz, status } from "./read-node.js";
import type { ApiContext, Route } from "./route.js";
import { listAllRecentData, postNewData } from "./seed.js";

/** All calls of the API, in the order in which OpenAPI shows them. */
export function routesOf(context: ApiContext): readonly Route[] {
  const routes = [
    postItem(context),
    listItems(context),
    getItem(context),
    events(context),
    status(context),
    peers(context),
    healthz(),
    readyz(context),
    metrics(context),
    postNewData(context),
    listAllRecentData("POST", context),
    listAllRecentData("GET", context),
  ];
  return [...routes, openApi(() => context.service.status().version, routes)];
}

/** Why no route fits: the path has other methods (`allow` names them), or there is no such path. */
export function missingRoute(
  routes: readonly Route[],
  method: string,
  url: string,
): { readonly error: HubcastError; readonly allow?: string } {
  const path = url.split("?", 1)[0]!;
  const methods = routes.filter((route) => fits(route.url, path)).map((route) => route.method);
  if (methods.length > 0) {
    const allow = methods.join(", ");
    const error = new HubcastError("methodNotAllowed", `${path} does not answer ${method}`, {
      suggestions: [`Use ${methods.join(" or ")}.`],
    });
    return { error, allow };
  }
  const last = path.split("/").findLast((part) => part !== "");
  const near = routes.find((route) => last !== undefined && route.url.endsWith(`/${last}`));
  return {
    error: new HubcastError("notFound", `there is no ${path.slice(0, 200)} here`, {
      suggestions: [
        ...(near ? [`Did you mean ${near.method} ${near.url}?`] : []),
        "See GET /openapi.json for every call.",
      ],
    }),
  };
}

function fits(pattern: string, path: string): boolean {
  const parameter = pattern.indexOf(":");
  if (parameter < 0) return pattern === path;
  const prefix = pattern.slice(0, parameter);
  return path.startsWith(prefix) && path.length > prefix.length && !path.includes("/", prefix.length);
}
