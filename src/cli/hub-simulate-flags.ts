import * as Flags from "@oclif/core/flags";
import { HubcastError } from "../core/errors.js";
import { parseDuration } from "../core/units.js";
import { countFlag, durationFlag, portFlag, sizeFlag } from "./flags.js";
import { TLS_CA_FLAG } from "./hub-flags.js";
import { HUB_TOKEN_FLAG } from "./hub-token.js";

/** A duration; a lone number counts milliseconds. */
const intervalFlag = Flags.custom<number>({
  helpValue: "DURATION",
  parse: async (text) => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : parseDuration(text)),
});

/** `0.1` or `10%`. */
const shareFlag = Flags.custom<number>({
  helpValue: "SHARE",
  parse: async (text) => {
    const match = /^(\d+(?:\.\d+)?)(%?)$/.exec(text);
    const share = match ? Number(match[1]) / (match[2] ? 100 : 1) : Number.NaN;
    if (share >= 0 && share <= 0.9) return share;
    throw new HubcastError("usage", `"${text}" is not a share from 0 to 0.9`, {
      suggestions: ["Write 0.1 or 10%."],
    });
  },
});

/** Flags of `hub simulate`. */
export const HUB_SIMULATE_FLAGS = {
  addr: Flags.string({
    description:
      "Hub to load; without it (and --port), one is started for the run. Given several times: hubs that are connected to each other; clients are on them in turn.",
    helpValue: "HOST[:PORT]",
    multiple: true,
    multipleNonGreedy: true,
  }),
  port: portFlag({ description: "Port of the hub to load, when --addr has none." }),
  "token-file": HUB_TOKEN_FLAG,
  "tls-ca": TLS_CA_FLAG,
  size: sizeFlag({ description: "Bytes of a payload, 24 to 1024000.", default: 10_240 }),
  clients: countFlag({
    description: "Clients; each sends to all others.",
    char: "c",
    aliases: ["ncli"],
    default: 100,
    min: 2,
    max: 20_000,
  }),
  messages: countFlag({
    description: "Messages that each client sends; 0 only connects.",
    char: "n",
    aliases: ["nmex"],
    default: 100,
    min: 0,
    max: 1_000_000_000,
  }),
  interval: intervalFlag({
    description: "Between two messages of one client; 0: as fast as it goes. A lone number counts ms.",
    char: "i",
    default: 1,
    defaultHelp: async () => "1ms",
  }),
  stat: Flags.boolean({
    description: "Show progress, and statistics at the end. With --no-stat: the proof of delivery alone.",
    default: true,
    allowNo: true,
  }),
  workers: countFlag({
    description: "Processes that the clients live in; without it, one less than there are processors.",
    min: 1,
    max: 64,
  }),
  chaos: shareFlag({
    description:
      "Let a share of the clients misbehave: slow readers, stallers, half-open ones, and some that cut their connection in a frame. Runs twice, to show what the others notice of it.",
    default: 0,
    defaultHelp: async () => "0",
  }),
  report: Flags.string({
    description: "Write a page with charts of throughput and latency.",
    helpValue: "FILE.html",
  }),
  timeout: durationFlag({
    description: "Give up when nothing was sent or received for so long.",
    default: 10_000,
    defaultHelp: async () => "10s",
  }),
};

export interface HubPlace {
  readonly addr?: readonly string[] | undefined;
  readonly port?: number | undefined;
}

/** Where the hubs are, as --addr and --port say together; undefined: there is none yet. @throws usage */
export function hubPlaces({ addr, port }: HubPlace): readonly string[] | undefined {
  if (port === 0) throw new HubcastError("usage", "0 is no port to connect to");
  if (addr === undefined) return port === undefined ? undefined : [`127.0.0.1:${port}`];
  return addr.map((place) => {
    const namesPort = /^\[[^\]]*\]:\d+$|^[^:]*:\d+$/.test(place);
    return namesPort || port === undefined ? place : `${place}:${port}`;
  });
}
