import { Audience } from "./audience.js";
import type { CloseReason } from "./close-reason.js";
import { receiptFrame } from "./encode.js";
import { FLAG, FRAME } from "./frame-type.js";
import { readId } from "./id.js";
import { HUB_LIMITS } from "./limits.js";
import { heldIn, relayToHubs } from "./links/link-relay.js";
import { Receipt } from "./receipt.js";
import { Run } from "./run.js";
import type { Session } from "./session.js";
import type { Switchboard } from "./switchboard.js";

/** `done`, `held` (the same frame again later), or what is wrong with the frame. */
export type Outcome = "done" | "held" | CloseReason;

/** Offset of the number in a message of version 2, and of what follows it. */
const NUMBER = 6;
const BEHIND_NUMBER = 14;

/**
 * Takes messages and queues them for their receivers, a run at a time: consecutive messages of one sender to the
 * same receivers.
 */
export class Relay {
  constructor(private readonly board: Switchboard) {}

  /** The frame that the sender's inbox stands at: u8 n, n x u64 receiver, payload. */
  plain(sender: Session): Outcome {
    return this.#toList(sender, sender.inbox.start + 5, false);
  }

  /** u8 flags, u64 number, u8 n, n x u64 receiver, payload. */
  named(sender: Session): Outcome {
    const { buffer, start, end } = sender.inbox;
    if (end - start <= BEHIND_NUMBER) return "malformedFrame";
    return this.#toList(sender, start + BEHIND_NUMBER, wantsReceipt(buffer, start));
  }

  /** u8 flags, u64 number, payload. */
  toAll(sender: Session): Outcome {
    const { start, end } = sender.inbox;
    const bodyStart = start + BEHIND_NUMBER;
    if (end < bodyStart) return "malformedFrame";
    if (end - bodyStart > HUB_LIMITS.payloadBytesMax) return "frameTooLarge";
    return this.#toKey(sender, "all", FRAME.toAll, bodyStart);
  }

  /** u8 flags, u64 number, u8 length, group, payload. */
  toGroup(sender: Session): Outcome {
    const { buffer, start, end } = sender.inbox;
    const bodyStart = start + BEHIND_NUMBER;
    if (end <= bodyStart) return "malformedFrame";
    const nameEnd = bodyStart + 1 + buffer[bodyStart]!;
    if (nameEnd > end) return "malformedFrame";
    if (end - nameEnd > HUB_LIMITS.payloadBytesMax) return "frameTooLarge";
    const group = buffer.toString("utf8", bodyStart + 1, nameEnd);
    return this.#toKey(sender, `group ${group}`, FRAME.toGroup, bodyStart, group);
  }

  /** Queues the run. @returns false when a receiver holds it up; the sender waits then */
  endRun(sender: Session): boolean {
    const { run, audience } = sender;
    if (run === undefined || run.count === 0 || audience === undefined) return true;
    audience.dropGone(this.board.roster.epoch, run.receipt);
    const blocker = this.board.waiting.blockerOf(audience);
    if (blocker !== undefined) {
      this.board.waiting.forReceiver(sender, blocker);
      return false;
    }
    const { plain, named, remote } = audience;
    if (remote.length > 0) {
      const held = heldIn(this.board, audience);
      if (held !== undefined) {
        this.board.waiting.forRemote(sender, held);
        return false;
      }
    }
    const { receipt } = run;
    if (plain.length > 0)
      this.board.deliver(run.plain(plain.length, named.length + remote.length > 0), plain);
    if (remote.length > 0) relayToHubs(this.board, run, audience);
    else if (named.length > 0) this.board.deliver(run.named(named.length), named);
    run.end();
    receipt?.seal();
    return true;
  }

  #toList(sender: Session, countAt: number, receipt: boolean): Outcome {
    const { buffer, end } = sender.inbox;
    if (countAt >= end) return "malformedFrame";
    const listStart = countAt + 1;
    const bodyStart = listStart + 8 * buffer[countAt]!;
    if (bodyStart > end) return "malformedFrame";
    if (end - bodyStart > HUB_LIMITS.payloadBytesMax) return "frameTooLarge";
    sender.audience ??= new Audience();
    const { audience } = sender;
    const same = audience.isList(buffer, listStart, bodyStart, this.board.roster.epoch);
    if (!this.#continues(sender, same && !receipt, FRAME.namedRelay)) {
      if (!this.endRun(sender)) return "held";
      if (!same) audience.resolveList(buffer, listStart, bodyStart, this.board.roster, this.board.remotes);
      this.#begin(sender, audience, FRAME.namedRelay, receipt);
    }
    if (audience.size > 0) sender.run!.add(bodyStart, end);
    return "done";
  }

  #toKey(sender: Session, key: string, type: number, bodyStart: number, group?: string): Outcome {
    const { roster, groups } = this.board;
    const { buffer, start, end } = sender.inbox;
    const receipt = wantsReceipt(buffer, start);
    sender.audience ??= new Audience();
    const { audience } = sender;
    const same = audience.isKey(key, roster.epoch);
    if (!this.#continues(sender, same && !receipt, type)) {
      if (!this.endRun(sender)) return "held";
      const members = group === undefined ? roster.all() : groups.members(group);
      if (!same) {
        audience.resolveKey(key, members, sender, roster, group);
        for (const hub of this.board.remotes.hubs) {
          if (group === undefined ? hub.clients.size > 0 : hub.groups.has(group)) audience.addHub(hub);
        }
      }
      this.#begin(sender, audience, type, receipt);
    }
    if (audience.size > 0) sender.run!.add(bodyStart, end);
    return "done";
  }

  /** Whether the frame goes on with the sender's run. */
  #continues(sender: Session, same: boolean, type: number): boolean {
    const { run } = sender;
    if (!same || run === undefined || run.count === 0 || sender.audience!.repeats) return false;
    return run.namedType === type && run.receipt === undefined && run.isIn(sender.inbox.buffer);
  }

  #begin(sender: Session, audience: Audience, type: number, wanted: boolean): void {
    const { buffer, backing, start } = sender.inbox;
    const receipt = wanted ? this.#receipt(sender, audience, readId(buffer, start + NUMBER)) : undefined;
    if (audience.size === 0) {
      receipt?.seal();
      return;
    }
    sender.run ??= new Run(sender.id, this.board.memory);
    const { run } = sender;
    run.begin(buffer, backing!, type);
    run.receipt = receipt;
  }

  #receipt(sender: Session, audience: Audience, number: number): Receipt {
    return new Receipt(number, [...audience.unknown], (receipt) => {
      this.board.answer(sender, receiptFrame(receipt));
    });
  }
}

function wantsReceipt(buffer: Buffer, start: number): boolean {
  return (buffer[start + 5]! & FLAG.receipt) !== 0;
}
