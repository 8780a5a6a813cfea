import { type GossipSub, TopicValidatorResult } from "@libp2p/gossipsub";
import type { GossipVerdict } from "../port.js";

/** What the router calls our verdicts. */
export const VERDICTS = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
} as const satisfies Record<GossipVerdict, TopicValidatorResult>;

/** What the router has beyond its public type. */
export interface Router extends GossipSub {
  reportMessageValidationResult(msgId: string, source: string, verdict: TopicValidatorResult): void;
  getScore(peerId: string): number;
  isStarted(): boolean;
  readonly status: { readonly heartbeatTimeout?: NodeJS.Timeout };
}
