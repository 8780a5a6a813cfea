import { HubcastError } from "../../core/errors.js";

export interface HubAddress {
  readonly host: string;
  readonly port: number;
}

const PORT_DEFAULT = 9999;

/** Reads `HOST`, `HOST:PORT`, `[IPV6]:PORT` or `:PORT`. @throws invalidOption */
export function parseHubAddress(text: string): HubAddress {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*))(?::(\d+))?$/.exec(text.trim());
  const port = match?.[3] === undefined ? PORT_DEFAULT : Number(match[3]);
  if (!match || port < 1 || port > 65_535) {
    throw new HubcastError("invalidOption", `"${text}" is not the address of a hub`, {
      suggestions: ["Write HOST, HOST:PORT or [IPV6]:PORT, such as 127.0.0.1:9999."],
    });
  }
  return { host: match[1] ?? (match[2] || "127.0.0.1"), port };
}
