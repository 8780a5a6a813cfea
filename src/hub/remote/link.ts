import type { Socket } from "node:net";
import { CLOSE_REASONS, type CloseReason } from "../protocol/close-reason.js";
import { decodeHubFrame, type HubFrame } from "../protocol/decode.js";
import { pingFrame } from "../protocol/encode.js";
import { FrameBuffers } from "../protocol/frame-buffers.js";
import { FRAME } from "../protocol/frame-type.js";
import { Inbox } from "../protocol/inbox.js";
import { HUB_LIMITS } from "../protocol/limits.js";
import { MemoryBudget } from "../protocol/memory.js";
import type { HubAddress } from "./address.js";
import type { HubClientOptions } from "./options.js";
import { openSocket } from "./socket.js";

const READ_BYTES = 65_536;
/** Heads and payloads up to this size go out as one buffer. */
const JOIN_BELOW = 4_096;

interface LinkHandlers {
  /** @returns false to be read no further until `resume`. The frame is valid during the call only */
  readonly onFrame: (frame: HubFrame) => boolean;
  /** Called once. */
  readonly onClosed: (reason: CloseReason, error: Error | undefined) => void;
}

/** One connection to a hub: frames in, frames out. */
export class Link {
  readonly #socket: Socket;
  // A client has no budget, and keeps no memory for frames that may never come.
  readonly #inbox = new Inbox(
    new FrameBuffers(new MemoryBudget(Number.MAX_SAFE_INTEGER), 0),
    HUB_LIMITS.answerBytesMax,
  );
  #goodbye: CloseReason | undefined;
  #error: Error | undefined;
  #wantsMore = true;
  #drained: Promise<void> | undefined;

  constructor(
    address: HubAddress,
    options: HubClientOptions,
    private readonly handlers: LinkHandlers,
  ) {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    this.#socket = openSocket(address, options.tls, buffer, (bytes) => this.#received(bytes));
    this.#socket.on("error", (error) => {
      this.#error = error;
    });
    this.#socket.once("close", () => {
      const lost = this.#error === undefined ? "clientClosed" : "connectionLost";
      handlers.onClosed(this.#goodbye ?? lost, this.#error);
    });
  }

  /** Writes a head and its payload, uncopied when it is large. Resolves when there is room for the next. */
  async send(head: Buffer, payload?: Uint8Array): Promise<void> {
    const socket = this.#socket;
    let room: boolean;
    if (payload === undefined) room = socket.write(head);
    else if (payload.length < JOIN_BELOW) room = socket.write(Buffer.concat([head, payload]));
    else {
      socket.cork();
      socket.write(head);
      room = socket.write(payload);
      socket.uncork();
    }
    if (room || socket.destroyed) return;
    // All who wait share one promise, or many senders would be as many listeners.
    this.#drained ??= drained(socket).then(() => {
      this.#drained = undefined;
    });
    await this.#drained;
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Ends the connection when everything is written. */
  end(): void {
    this.#socket.end();
    this.#socket.resume();
  }

  cut(): void {
    this.#socket.destroy();
  }

  /** @returns whether to go on reading */
  #received(chunk: Buffer): boolean {
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

  /** @returns false when it is no frame of a hub */
  #take(bytes: Buffer): boolean {
    let frame: HubFrame;
    try {
      frame = decodeHubFrame(bytes);
    } catch {
      return false;
    }
    if (frame.type === "ping") void this.send(pingFrame(FRAME.pong, frame.token));
    else if (frame.type === "goodbye")
      this.#goodbye = frame.reason in CLOSE_REASONS ? frame.reason : undefined;
    else this.#wantsMore = this.handlers.onFrame(frame);
    return true;
  }
}

/** Resolves when the socket can take more, or is closed. */
async function drained(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      socket.off("drain", done);
      socket.off("close", done);
      resolve();
    };
    socket.on("drain", done);
    socket.on("close", done);
  });
}
