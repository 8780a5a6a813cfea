import { HubcastError } from "../../core/errors.js";
import type { CloseReason } from "../protocol/close-reason.js";
import type { HubFrame } from "../protocol/decode.js";
import { newFrame } from "../protocol/encode.js";
import { helloFrame } from "../protocol/encode-client.js";
import { FEATURE, FRAME } from "../protocol/frame-type.js";
import type { HubAddress } from "./address.js";
import { Calls } from "./calls.js";
import { Link } from "./link.js";
import type { HubClientOptions } from "./options.js";
import { refusalOf } from "./refusal.js";

const CONNECT_TIMEOUT_MS = 5_000;

/** A connection on which the hub has answered. */
export interface Line {
  readonly link: Link;
  readonly calls: Calls;
  readonly id: number;
  readonly version: number;
  readonly hubName: string;
  readonly closed: Promise<void>;
}

interface LineHandlers {
  /** The hub has answered; called before any other frame of its. */
  readonly onOpen: (line: Line) => void;
  readonly onFrame: (frame: HubFrame) => boolean;
  readonly onLost: (reason: CloseReason) => void;
}

/**
 * Connects and says who it is: hello, or in version 1 the question for the own id. Whatever goes wrong before the
 * answer rejects, and leaves nothing open.
 * @throws unreachable, notHubcast, unauthorized, tooManyClients, stopping
 */
export async function dial(
  address: HubAddress,
  options: HubClientOptions,
  signal: AbortSignal,
  handlers: LineHandlers,
): Promise<Line> {
  signal.throwIfAborted();
  const calls = new Calls();
  const closed = Promise.withResolvers<void>();
  return await new Promise<Line>((resolve, reject) => {
    let line: Line | undefined;
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    };
    const fail = (error: unknown): void => {
      settle();
      reject(error);
      link.cut();
    };
    const onAbort = (): void => fail(signal.reason);
    const onFrame = (frame: HubFrame): boolean => {
      if (line === undefined && (frame.type === "welcome" || frame.type === "identity")) {
        settle();
        const { id } = frame;
        const agreed = frame.type === "welcome" ? frame : { version: 1, name: "" };
        line = { link, calls, id, version: agreed.version, hubName: agreed.name, closed: closed.promise };
        handlers.onOpen(line);
        resolve(line);
        return true;
      }
      return handlers.onFrame(frame);
    };
    const onClosed = (reason: CloseReason, error: Error | undefined): void => {
      const lost = closedError(address, options.tls !== undefined, reason, error, line !== undefined);
      calls.fail(lost);
      closed.resolve();
      if (line === undefined) fail(lost);
      else handlers.onLost(reason);
    };
    const link = new Link(address, options, { onFrame, onClosed });
    const timeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
    const timer = setTimeout(() => fail(silentError(address, timeoutMs)), timeoutMs);
    signal.addEventListener("abort", onAbort, { once: true });
    void link.send(firstFrame(options));
  });
}

function firstFrame(options: HubClientOptions): Buffer {
  if (options.version === 1) return newFrame(FRAME.identity, 0);
  return helloFrame({
    version: 2,
    features: options.presence === true ? FEATURE.presence : 0,
    name: options.name ?? "",
    token: options.token ?? "",
  });
}

function closedError(
  { host, port }: HubAddress,
  talksTls: boolean,
  reason: CloseReason,
  error: Error | undefined,
  wasOpen: boolean,
): HubcastError {
  const where = `${host}:${port}`;
  const refusal = refusalOf(reason, where);
  if (refusal !== undefined) return refusal;
  const cause = error === undefined ? {} : { cause: error };
  if (wasOpen)
    return new HubcastError("connectionLost", `the hub at ${where} closed the connection: ${reason}`, cause);
  if (error !== undefined && "code" in error) {
    return new HubcastError("unreachable", `no hub answers at ${where}: ${error.message}`, {
      ...cause,
      suggestions: [
        ...(talksTls ? ["Leave out tls (--tls-ca) where the hub does not talk TLS."] : []),
        "Start one with `hubcast hub start`, or pass its address.",
      ],
    });
  }
  return new HubcastError(
    "notHubcast",
    `what answers at ${where} closed the connection before it said hello`,
    {
      ...cause,
      suggestions: [
        "Check the address and port.",
        ...(talksTls ? [] : ["A hub that talks TLS needs tls (--tls-ca)."]),
        "A hub that only knows version 1 needs version: 1.",
      ],
    },
  );
}

function silentError({ host, port }: HubAddress, timeoutMs: number): HubcastError {
  return new HubcastError(
    "notHubcast",
    `what listens at ${host}:${port} said no hello within ${timeoutMs} ms`,
    {
      suggestions: ["Check the address and port.", "A hub that only knows version 1 needs version: 1."],
    },
  );
}
