import { X509Certificate } from "node:crypto";
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { CONNECT_REASONS, type ErrorCode, HubcastError } from "../../core/errors.js";
import {
  CLOSE_REASONS,
  type CloseReason,
  decodeHubFrame,
  FRAME,
  type HubFrame,
  newFrame,
  pingFrame,
} from "../machine/frames.js";
import { Inbox } from "../machine/inbox.js";
import { HUB_LIMITS } from "../machine/limits.js";
import { FrameBuffers, MemoryBudget } from "../machine/memory.js";
import type { HubAddress, HubClientOptions, HubTls } from "./options.js";

const READ_BYTES = 65_536;
/** Heads and payloads up to this size go out as one buffer. */
const JOIN_BELOW = 4_096;
/** The token of pings that check whether the hub is alive; their pongs are not passed on. */
const ALIVE_TOKEN = Buffer.from("alive?\n\n");
const LOOKS_PER_INTERVAL = 4;
/** A client that ends gives a hub that takes no byte so long. */
const END_TIMEOUT_MS = 5_000;

interface ConnectionHandlers {
  /** @returns false to be read no further until `resume`. The frame is valid during the call only */
  readonly onFrame: (frame: HubFrame) => boolean;
  /** Called once. */
  readonly onClosed: (reason: CloseReason, error: Error | undefined) => void;
}

/** One connection to a hub: frames in, frames out. */
export class HubConnection {
  readonly #socket: Socket;
  // A client has no budget, and keeps no free buffers.
  readonly #inbox = new Inbox(
    new FrameBuffers(new MemoryBudget(Number.MAX_SAFE_INTEGER), false),
    HUB_LIMITS.answerBytesMax,
  );
  #goodbye: CloseReason | undefined;
  /** This side has ended the connection. */
  #ended = false;
  #reading = true;
  #liveness: Liveness | undefined;
  #timer: NodeJS.Timeout | undefined;
  #error: Error | undefined;
  #wantsMore = true;
  #drained: Promise<void> | undefined;

  constructor(
    address: HubAddress,
    options: HubClientOptions,
    private readonly handlers: ConnectionHandlers,
  ) {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    this.#socket = openSocket(address, options.tls, buffer, (bytes) => this.#received(bytes));
    this.#socket.on("error", (error) => {
      this.#error = error;
    });
    this.#socket.once("close", () => {
      clearInterval(this.#timer);
      const lost = this.#ended && this.#error === undefined ? "clientClosed" : "connectionLost";
      handlers.onClosed(this.#goodbye ?? lost, this.#error);
    });
  }

  /** Writes a head and its payload, uncopied when it is large. Resolves when there is room for the next. */
  async send(head: Buffer, payload?: Uint8Array): Promise<void> {
    const socket = this.#socket;
    // Behind end() a write would destroy the socket, with what waits in it.
    if (socket.writableEnded || socket.destroyed) throw this.#lost();
    let room: boolean;
    if (payload === undefined) room = socket.write(head);
    else if (payload.length < JOIN_BELOW) room = socket.write(Buffer.concat([head, payload]));
    else {
      socket.cork();
      socket.write(head);
      room = socket.write(payload);
      socket.uncork();
    }
    if (room) return;
    // Waiting senders share one promise, or each would be a listener.
    this.#drained ??= drained(socket).then(() => {
      this.#drained = undefined;
    });
    await this.#drained;
    if (socket.destroyed && !socket.writableFinished) throw this.#lost();
  }

  resume(): void {
    if (!this.#reading) this.#liveness?.heard(performance.now());
    this.#reading = true;
    // Also where the next chunk completes no message.
    this.#wantsMore = true;
    this.#socket.resume();
  }

  /** Gives the hub up when it does not answer pings. @param version agreed with it */
  watch(intervalMs: number, version: number): void {
    const liveness = new Liveness(intervalMs, performance.now());
    this.#liveness = liveness;
    const question = version > 1 ? pingFrame(FRAME.ping, ALIVE_TOKEN) : newFrame(FRAME.identity, 0);
    this.#timer = setInterval(() => {
      const verdict = liveness.look(performance.now(), this.#reading);
      if (verdict === "ask") this.send(question).catch(() => {});
      else if (verdict === "gone") {
        this.#goodbye ??= "pingTimeout";
        this.cut();
      }
    }, intervalMs / LOOKS_PER_INTERVAL).unref();
  }

  /** Ends the connection when everything is written, or when the hub takes nothing. */
  end(): void {
    this.#ended = true;
    clearInterval(this.#timer);
    this.#socket.end();
    this.resume();
    // Node looks whether bytes leave within one write, too.
    this.#socket.setTimeout(END_TIMEOUT_MS, () => this.cut());
  }

  cut(): void {
    this.#ended = true;
    this.#socket.destroy();
  }

  /** @returns whether to go on reading */
  #received(chunk: Buffer): boolean {
    this.#liveness?.heard(performance.now());
    this.#reading = this.#takeAll(chunk);
    return this.#reading;
  }

  #takeAll(chunk: Buffer): boolean {
    const inbox = this.#inbox;
    inbox.push(chunk);
    for (;;) {
      const found = inbox.peek();
      if (found === "more") return this.#wantsMore;
      if (found === "begins" && inbox.begin()) continue;
      if (found !== "frame" || !this.#take(inbox.buffer.subarray(inbox.start + 4, inbox.end))) {
        this.#error ??= new Error("the other side does not speak the protocol of a hub");
        this.#socket.destroy();
        return false;
      }
      inbox.advance();
    }
  }

  #lost(): HubcastError {
    return new HubcastError(
      "connectionLost",
      "the connection to the hub ended before the message was written",
    );
  }

  /** @returns false when it is no frame of a hub */
  #take(bytes: Buffer): boolean {
    let frame: HubFrame;
    try {
      frame = decodeHubFrame(bytes);
    } catch {
      return false;
    }
    if (frame.type === "ping") this.send(pingFrame(FRAME.pong, frame.token)).catch(() => {});
    else if (frame.type === "pong" && frame.token.equals(ALIVE_TOKEN)) return true;
    else if (frame.type === "goodbye")
      this.#goodbye = frame.reason in CLOSE_REASONS ? frame.reason : undefined;
    else this.#wantsMore = this.handlers.onFrame(frame);
    return true;
  }
}

/** Resolves when the socket can take more, has written everything and ended, or is closed. */
async function drained(socket: Socket): Promise<void> {
  const events = ["drain", "finish", "close"];
  await new Promise<void>((resolve) => {
    const done = (): void => {
      for (const event of events) socket.off(event, done);
      resolve();
    };
    for (const event of events) socket.on(event, done);
  });
}

/**
 * Finds a silent hub. A frozen peer or a cut cable looks like a hub with nothing to say: after an interval of silence
 * the hub is pinged, after one more it is given up.
 */
export class Liveness {
  #heardAtMs: number;
  /** 0 while no ping is pending. */
  #askedAtMs = 0;
  #lookedAtMs: number;

  /** @param nowMs of a clock that is never set back, here and below */
  constructor(
    private readonly intervalMs: number,
    nowMs: number,
  ) {
    this.#heardAtMs = nowMs;
    this.#lookedAtMs = nowMs;
  }

  heard(nowMs: number): void {
    this.#heardAtMs = nowMs;
    this.#askedAtMs = 0;
  }

  /** Call it several times in an interval. @param reading false: the client itself does not read now */
  look(nowMs: number, reading: boolean): "fine" | "ask" | "gone" {
    // A process that was busy or stopped has not read the bytes that wait for it.
    const late = nowMs - this.#lookedAtMs > this.intervalMs;
    this.#lookedAtMs = nowMs;
    if (late || !reading) this.heard(nowMs);
    if (this.#askedAtMs > 0) return nowMs - this.#askedAtMs >= this.intervalMs ? "gone" : "fine";
    if (nowMs - this.#heardAtMs < this.intervalMs) return "fine";
    this.#askedAtMs = nowMs;
    return "ask";
  }
}

/**
 * Dials a hub, over TCP or TLS.
 * @param buffer shared by all reads; TLS sockets bring their own
 * @param received gets the bytes, valid during the call. @returns false to pause reading until `resume`
 */
export function openSocket(
  address: HubAddress,
  tls: HubTls | undefined,
  buffer: Buffer,
  received: (bytes: Buffer) => boolean,
): Socket {
  if (tls === undefined) {
    const callback = (bytes: number): boolean => received(buffer.subarray(0, bytes));
    return connect({ ...address, noDelay: true, onread: { buffer, callback } });
  }
  const socket = connectTls({
    ...(isIP(address.host) === 0 && { servername: address.host }),
    ...address,
    ...(tls === true ? {} : tls),
  });
  socket.setNoDelay(true);
  socket.on("data", (chunk: Buffer) => {
    if (!received(chunk)) socket.pause();
  });
  return socket;
}

/** A limit of this process or machine, which has nothing to do with the hub. */
const OWN_LIMITS: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "EADDRNOTAVAIL", "ENOBUFS", "ENOMEM"]);
/** The connection was open and ended before TLS or the protocol was agreed. */
const NOT_TALKING: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED", "EPROTO"]);

/**
 * Explains a failed connection by what the user can do: raise a limit here, trust a certificate, or look for the hub.
 * @param where host:port
 * @returns undefined when the error fits none of these
 */
export function connectError(error: Error, where: string, talksTls: boolean): HubcastError | undefined {
  const code = "code" in error ? String(error.code) : "";
  const cause = { cause: error };
  if (OWN_LIMITS.has(code)) {
    return new HubcastError("ownLimit", `cannot open a connection to ${where}: ${ownLimit(code)}`, {
      ...cause,
      suggestions:
        code === "EADDRNOTAVAIL"
          ? ["Wait until old connections have left their ports, or use fewer clients."]
          : ["Raise the limit of open files (ulimit -n), or use fewer clients."],
    });
  }
  if (isOfCertificate(code)) {
    return new HubcastError(
      "certificateRefused",
      `the certificate of the hub at ${where} is not good here: ${error.message}`,
      {
        ...cause,
        suggestions: [
          "Pass the hub's certificate or its authority's: tls.ca (--tls-ca).",
          "Connect by a name that the certificate is for, and look at its dates.",
        ],
      },
    );
  }
  if (code.startsWith("ERR_SSL_") || (NOT_TALKING.has(code) && talksTls)) {
    return new HubcastError("notHubcast", `what answers at ${where} does not talk TLS: ${error.message}`, {
      ...cause,
      suggestions: [
        "Leave out --tls-ca (tls) where the hub does not talk TLS.",
        "Check the address and port.",
      ],
    });
  }
  if (code === "" || NOT_TALKING.has(code)) return undefined;
  return new HubcastError(
    "unreachable",
    `no hub answers at ${where} (${CONNECT_REASONS[code] ?? error.message})`,
    {
      ...cause,
      suggestions: ["Start one with `hubcast hub start`, or pass its address."],
    },
  );
}

function ownLimit(code: string): string {
  if (code === "EADDRNOTAVAIL") return "no port of this machine is left for it";
  return code === "EMFILE" ? "this process may open no more files" : "this machine has no more room for it";
}

/** OpenSSL's codes for an invalid chain, date or name. */
function isOfCertificate(code: string): boolean {
  return /^(CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|HOSTNAME_MISMATCH|ERR_TLS_CERT|INVALID_CA|PATH_LENGTH)/.test(
    code,
  );
}

/** Node accepts a `ca` that is no certificate, and then trusts no server. @throws invalidOption */
export function checkTls(tls: HubTls | undefined): void {
  if (tls === undefined || tls === true || tls.ca === undefined) return;
  try {
    new X509Certificate(tls.ca);
  } catch (error) {
    throw new HubcastError("invalidOption", `tls.ca is no certificate: ${(error as Error).message}`, {
      cause: error,
      suggestions: ["Pass a certificate in PEM: -----BEGIN CERTIFICATE-----"],
    });
  }
}

const REFUSALS: Partial<Record<CloseReason, readonly [ErrorCode, message: string, suggestion: string]>> = {
  unauthorized: [
    "unauthorized",
    "asks for a token and got none, or a wrong one",
    "Pass the hub's token (--token-file).",
  ],
  tooManyGuesses: [
    "tooManyGuesses",
    "has had too many wrong tokens from this address",
    "Wait a second, then try again with the right token.",
  ],
  clientsMax: ["tooManyClients", "is full", "Start it with a larger --clients-max, or try again later."],
  stopping: ["stopping", "is shutting down", "Try again when it is back."],
};

/** The error for a hub that turns the client away; undefined for other reasons. @param where host:port */
export function refusalOf(reason: CloseReason, where: string): HubcastError | undefined {
  const known = REFUSALS[reason];
  if (known === undefined) return undefined;
  const [code, message, suggestion] = known;
  return new HubcastError(code, `the hub at ${where} ${message}`, { suggestions: [suggestion] });
}
