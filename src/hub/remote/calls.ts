import { HubcastError } from "../../core/errors.js";
import type { HubFrame, HubPeer } from "../protocol/decode.js";
import { WIRE_ERROR } from "../protocol/frame-type.js";
import type { HubReceipt } from "./options.js";
import { Questions } from "./questions.js";

/** Everything asked of the hub over one connection and not answered yet. */
export class Calls {
  readonly lists = new Questions<readonly number[]>();
  readonly rosters = new Questions<readonly HubPeer[]>();
  readonly groups = new Questions<number>();
  readonly pings = new Questions<void>();
  readonly #receipts = new Map<number, Questions<HubReceipt>>();
  #peers: HubPeer[] = [];
  #lastNumber = 0;

  get pending(): boolean {
    const { lists, rosters, groups, pings } = this;
    return this.#receipts.size + lists.size + rosters.size + groups.size + pings.size > 0;
  }

  /** Sends a message under a number and waits for its receipt. */
  async receipt(send: (number: number) => void, signal?: AbortSignal): Promise<HubReceipt> {
    this.#lastNumber += 1;
    const number = this.#lastNumber;
    const question = new Questions<HubReceipt>();
    this.#receipts.set(number, question);
    return await question.ask(() => send(number), signal);
  }

  /** @returns false when the frame answers nothing */
  take(frame: HubFrame): boolean {
    switch (frame.type) {
      case "list":
        this.lists.answer(frame.ids);
        return true;
      case "roster":
        this.#peers.push(...frame.peers);
        if (frame.more) return true;
        this.rosters.answer(this.#peers);
        this.#peers = [];
        return true;
      case "joined":
      case "left":
        this.groups.answer(frame.members);
        return true;
      case "pong":
        this.pings.answer();
        return true;
      case "receipt":
        this.#receipts.get(frame.number)?.answer(frame);
        this.#receipts.delete(frame.number);
        return true;
      case "error":
        this.groups.refuse(errorOf(frame.code, frame.text));
        return true;
      default:
        return false;
    }
  }

  fail(error: HubcastError): void {
    for (const questions of [this.lists, this.rosters, this.groups, this.pings, ...this.#receipts.values()]) {
      questions.fail(error);
    }
    this.#receipts.clear();
  }
}

function errorOf(code: number, text: string): HubcastError {
  return new HubcastError(code === WIRE_ERROR.tooManyGroups ? "tooManyGroups" : "invalidOption", text);
}
