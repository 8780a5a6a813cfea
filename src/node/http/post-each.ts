import type { FastifyRequest } from "fastify";
import { asHubcastError, HubcastError, isInternal } from "../../core/errors.js";
import { problemOf } from "../../runtime/http/problem.js";
import { checkDraft } from "../arguments.js";
import type { PostOptions, PostResult } from "../broadcast.js";
import type { ItemDraft } from "../replica/item.js";
import type { ApiContext } from "./options.js";

/** Some 5 ms of work: the lines that one turn of the event loop takes. */
const TURN_LINES = 256;

/** Posts one item for a caller whose rate allows it. @throws as `Broadcast.post`, and keyRateLimited */
export async function postOne(
  { node, keyRate }: Pick<ApiContext, "node" | "keyRate">,
  request: FastifyRequest,
  draft: ItemDraft,
  options: PostOptions | undefined,
): Promise<PostResult> {
  keyRate.check(request, draft);
  const result = await node.accept(draft, options);
  keyRate.charge(request, draft, result.status);
  return result;
}

/**
 * Posts each line of a body as an item of its own, all of them at once.
 * @returns a line for each that is not empty, in their order: a `PostResult`, or the `Problem` that refuses the item
 */
export async function postEach(
  context: ApiContext,
  request: FastifyRequest,
  body: string,
  options: PostOptions | undefined,
): Promise<string> {
  const lines = body.split("\n").filter((line) => line !== "" && line.trim() !== "");
  const answers: Promise<string>[] = [];
  for (let start = 0; start < lines.length; start += TURN_LINES) {
    await new Promise<void>((resolve) => context.bulkTurns.add([resolve]));
    for (const line of lines.slice(start, start + TURN_LINES))
      answers.push(postLine(context, request, line, options));
  }
  return (await Promise.all(answers)).join("");
}

async function postLine(
  context: ApiContext,
  request: FastifyRequest,
  line: string,
  options: PostOptions | undefined,
): Promise<string> {
  try {
    const draft = draftIn(line);
    context.postRate.takeOne(request);
    return `${JSON.stringify(await postOne(context, request, draft, options))}\n`;
  } catch (thrown) {
    const error = asHubcastError(thrown);
    context.refusals.count(error.code);
    if (isInternal(error)) context.logger.error({ err: thrown }, error.message);
    return `${JSON.stringify(problemOf(error))}\n`;
  }
}

/** @throws badRequest, invalidItem */
function draftIn(line: string): ItemDraft {
  let draft: ItemDraft;
  try {
    draft = JSON.parse(line.charCodeAt(0) === 0xfeff ? line.slice(1) : line);
  } catch (fault) {
    throw new HubcastError("badRequest", `the line is not JSON: ${(fault as Error).message}`, {
      suggestions: ["Send one JSON object a line."],
    });
  }
  checkDraft(draft);
  return draft;
}
