import type { Delivery } from "./flow-control.js";
import { type CloseReason, FLAG, FRAME, readId, receiptFrame } from "./frames.js";
import { HUB_LIMITS } from "./limits.js";
import { pausedRemote, relayToHubs } from "./links.js";
import { Receipt } from "./outbox.js";
import { Run } from "./run.js";
import { Recipients, type Session } from "./session.js";
import type { HubState } from "./state.js";

/** `done`, `held` (the same frame again later), or the reason to close the session. */
export type Outcome = "done" | "held" | CloseReason;

/** Offset of the message number in version 2, and of what follows it. */
const NUMBER = 6;
const BEHIND_NUMBER = 14;

/** Queues messages for their receivers, a run at a time: consecutive messages of one sender to the same receivers. */
export class Relay {
  constructor(
    private readonly state: HubState,
    private readonly delivery: Delivery,
  ) {}

  /** The frame at the inbox: u8 n, n x u64 receiver, payload. */
  toListV1(sender: Session): Outcome {
    return this.#toList(sender, sender.inbox.start + 5, false);
  }

  /** u8 flags, u64 number, u8 n, n x u64 receiver, payload. */
  toListV2(sender: Session): Outcome {
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

  /** Queues the run. @returns false when the sender pauses for a receiver, or was closed: it may be its own receiver */
  endRun(sender: Session): boolean {
    const { run, recipients } = sender;
    if (run === undefined || run.count === 0 || recipients === undefined) return true;
    recipients.dropGone(this.state.roster.epoch, run.receipt);
    const blocker = this.delivery.flow.blockerOf(recipients);
    if (blocker !== undefined) {
      this.delivery.flow.pauseForReceiver(sender, blocker);
      return false;
    }
    const { v1, v2, remote } = recipients;
    if (remote.length > 0) {
      const held = pausedRemote(this.state, recipients);
      if (held !== undefined) {
        this.delivery.flow.pauseForRemote(sender, held);
        return false;
      }
    }
    const { receipt } = run;
    if (v1.length > 0) this.delivery.deliver(run.v1(v1.length, v2.length + remote.length > 0), v1);
    if (remote.length > 0) relayToHubs(this.state, this.delivery, run, recipients);
    else if (v2.length > 0) this.delivery.deliver(run.v2(v2.length), v2);
    run.end();
    receipt?.close();
    return sender.sending;
  }

  #toList(sender: Session, countAt: number, receipt: boolean): Outcome {
    const { buffer, end } = sender.inbox;
    if (countAt >= end) return "malformedFrame";
    const listStart = countAt + 1;
    const bodyStart = listStart + 8 * buffer[countAt]!;
    if (bodyStart > end) return "malformedFrame";
    if (end - bodyStart > HUB_LIMITS.payloadBytesMax) return "frameTooLarge";
    sender.recipients ??= new Recipients();
    const { recipients } = sender;
    if (receipt && this.#pauseIfCongested(sender)) return "held";
    const same = recipients.isList(buffer, listStart, bodyStart, this.state.roster.epoch);
    if (!this.#continues(sender, same && !receipt, FRAME.namedRelay)) {
      if (!this.endRun(sender)) return "held";
      if (!same) {
        this.state.turnBytes += (HUB_LIMITS.resolveBytes / 8) * (bodyStart - listStart);
        const { roster, remotes } = this.state;
        recipients.resolveList(buffer, listStart, bodyStart, roster.epoch, roster, remotes);
      }
      this.#begin(sender, recipients, FRAME.namedRelay, receipt);
    }
    if (recipients.size > 0) sender.run!.add(bodyStart, end);
    return "done";
  }

  #toKey(sender: Session, key: string, type: number, bodyStart: number, group?: string): Outcome {
    const { roster, groups } = this.state;
    const { buffer, start, end } = sender.inbox;
    const receipt = wantsReceipt(buffer, start);
    sender.recipients ??= new Recipients();
    const { recipients } = sender;
    if (receipt && this.#pauseIfCongested(sender)) return "held";
    const same = recipients.isKey(key, roster.epoch);
    if (!this.#continues(sender, same && !receipt, type)) {
      if (!this.endRun(sender)) return "held";
      const members = group === undefined ? roster.all() : groups.members(group);
      if (!same) {
        const memberCount = group === undefined ? roster.size : groups.members(group).size;
        this.state.turnBytes += HUB_LIMITS.resolveBytes * memberCount;
        recipients.resolveKey(key, members, sender, roster.epoch, group);
        for (const hub of this.state.remotes.hubs) {
          if (group === undefined ? hub.clients.size > 0 : hub.groups.has(group)) recipients.addHub(hub);
        }
      }
      this.#begin(sender, recipients, type, receipt);
    }
    if (recipients.size > 0) sender.run!.add(bodyStart, end);
    return "done";
  }

  /** Pauses a sender with a congested outbox: receipts would only fill it further. @returns whether the frame is held */
  #pauseIfCongested(sender: Session): boolean {
    if (!this.delivery.flow.holdsUp(sender)) return false;
    if (this.endRun(sender)) this.delivery.flow.pauseForReceiver(sender, sender);
    return true;
  }

  /** Whether the frame belongs to the sender's run. */
  #continues(sender: Session, same: boolean, type: number): boolean {
    const { run } = sender;
    if (!same || run === undefined || run.count === 0 || sender.recipients!.repeats) return false;
    return run.v2Type === type && run.receipt === undefined && run.isIn(sender.inbox.buffer);
  }

  #begin(sender: Session, recipients: Recipients, type: number, wanted: boolean): void {
    const { buffer, backing, start } = sender.inbox;
    const receipt = wanted ? this.#receipt(sender, recipients, readId(buffer, start + NUMBER)) : undefined;
    if (recipients.size === 0) {
      receipt?.close();
      return;
    }
    sender.run ??= new Run(sender.id, this.state.memory);
    const { run } = sender;
    run.begin(buffer, backing!, type);
    run.receipt = receipt;
  }

  #receipt(sender: Session, recipients: Recipients, number: number): Receipt {
    const { memory } = this.state;
    this.state.turnBytes += HUB_LIMITS.resolveBytes * recipients.unknown.length;
    const bytes = HUB_LIMITS.receiptBytes + HUB_LIMITS.receiptIdBytes * recipients.unknown.length;
    memory.add(bytes);
    return new Receipt(number, [...recipients.unknown], (receipt) => {
      memory.remove(bytes);
      this.delivery.answer(sender, receiptFrame(receipt));
    });
  }
}

function wantsReceipt(buffer: Buffer, start: number): boolean {
  return (buffer[start + 5]! & FLAG.receipt) !== 0;
}
