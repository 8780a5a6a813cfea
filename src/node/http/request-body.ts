import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { HubcastError } from "../../core/errors.js";
import type { HttpLimits } from "./options.js";
import type { ApiContext } from "./route.js";

type BodyRules = Pick<ApiContext, "limits" | "bodyDeadlines">;

/**
 * Reads a whole body and parses it as JSON, whatever its content type says.
 * @throws badRequest (empty, no UTF-8, no JSON), tooLarge, requestTimeout, connectionLost
 */
export async function readJson(request: IncomingMessage, context: BodyRules): Promise<unknown> {
  const body = await readBody(request, context);
  if (body.length === 0) throw badRequest("the body is empty", "Send one JSON object.");
  if (!isUtf8(body)) throw badRequest("the body is not valid UTF-8", "Encode the JSON as UTF-8.");
  try {
    return JSON.parse(body.toString());
  } catch (cause) {
    throw badRequest(`the body is not JSON: ${(cause as Error).message}`, "Send one JSON object.");
  }
}

/** Chunks in the order of their arrival, joined. The body of a small post is one chunk and is not copied. */
function readBody(request: IncomingMessage, { limits, bodyDeadlines }: BodyRules): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (Number(request.headers["content-length"]) > limits.requestBytesMax) {
      reject(tooLarge(limits));
      return;
    }
    const chunks: Buffer[] = [];
    let bytes = 0;
    const deadline = bodyDeadlines.set(() => fail(tooSlow(limits)));
    const onData = (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > limits.requestBytesMax) fail(tooLarge(limits));
      else chunks.push(chunk);
    };
    const onEnd = () => {
      bodyDeadlines.meet(deadline);
      resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes));
    };
    const fail = (error: HubcastError) => {
      bodyDeadlines.meet(deadline);
      request.off("data", onData).off("end", onEnd);
      reject(error);
    };
    request.on("data", onData);
    request.on("end", onEnd);
    request.on("error", () => fail(new HubcastError("connectionLost", "the client left inside its body")));
  });
}

function badRequest(message: string, suggestion: string): HubcastError {
  return new HubcastError("badRequest", message, { suggestions: [suggestion] });
}

function tooLarge(limits: HttpLimits): HubcastError {
  const message = `the body has more than ${limits.requestBytesMax} bytes (requestBytesMax)`;
  return new HubcastError("tooLarge", message, {
    suggestions: [`Keep raw under ${limits.rawBytesMax} bytes; announce where to fetch what is larger.`],
  });
}

function tooSlow(limits: HttpLimits): HubcastError {
  const message = `the body did not arrive within ${limits.requestTimeoutMs} ms (requestTimeoutMs)`;
  return new HubcastError("requestTimeout", message, {
    suggestions: ["Send the whole body at once, with the right Content-Length."],
  });
}
