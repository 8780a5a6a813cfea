import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly authorization: string | undefined;
  readonly body: string;
}

export interface Answer {
  readonly status?: number;
  readonly type?: string;
  readonly body?: unknown;
  /** Written after the body; the answer stays open. */
  readonly stream?: (response: ServerResponse) => void;
}

export interface FakeNode extends AsyncDisposable {
  readonly url: string;
  readonly calls: readonly Call[];
}

/** An HTTP server on 127.0.0.1 that answers as the test says, and remembers what it was asked. */
export async function fakeNode(answer: (call: Call) => Answer): Promise<FakeNode> {
  const calls: Call[] = [];
  const server = createServer(async (request, response) => {
    const call = await asCall(request);
    calls.push(call);
    const { status = 200, type = "application/json", body, stream } = answer(call);
    response.writeHead(status, { "content-type": type });
    if (body !== undefined) response.write(typeof body === "string" ? body : JSON.stringify(body));
    if (stream) stream(response);
    else response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

async function asCall(request: IncomingMessage): Promise<Call> {
  const { pathname, searchParams } = new URL(request.url!, "http://127.0.0.1");
  return {
    method: request.method!,
    path: pathname,
    query: searchParams,
    authorization: request.headers.authorization,
    body: await text(request),
  };
}
