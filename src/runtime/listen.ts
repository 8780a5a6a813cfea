import { readdirSync, readFileSync } from "node:fs";
import type { AddressInfo, ListenOptions, Server } from "node:net";
import { HubcastError } from "../core/errors.js";

/** The flags that set the port and the host, for the advice in errors. */
export interface ListenFlags {
  readonly port: string;
  /** Absent where users cannot choose the host. */
  readonly host?: string;
}

/**
 * Makes a server listen. Only failures to listen are thrown: the caller handles `error` events afterwards.
 * @returns the bound address
 * @throws portInUse, cannotListen
 */
export async function listen(
  server: Server,
  options: ListenOptions & { readonly host: string; readonly port: number },
  flags: ListenFlags,
): Promise<AddressInfo> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(options, resolve);
  try {
    await promise;
  } catch (error) {
    throw listenError(error as NodeJS.ErrnoException, options, flags);
  } finally {
    server.removeListener("error", reject);
  }
  return server.address() as AddressInfo;
}

function listenError(
  cause: NodeJS.ErrnoException,
  { host, port }: { readonly host: string; readonly port: number },
  flags: ListenFlags,
): HubcastError {
  if (cause.code === "EADDRINUSE") {
    const message = `port ${port} is already in use; pass ${flags.port} 0 to take a free one`;
    const suggestions = [`Pass ${flags.port} 0 to take a free port, or another port.`];
    return new HubcastError("portInUse", message, { cause, suggestions });
  }
  return new HubcastError("cannotListen", `cannot listen on ${host} port ${port}: ${cause.message}`, {
    cause,
    suggestions: [adviceFor(cause, flags)],
  });
}

function adviceFor({ code }: NodeJS.ErrnoException, { host }: ListenFlags): string {
  if (code === "EACCES") return "Take a port from 1024 on, or run with the right to bind low ports.";
  return host === undefined
    ? "See whether this machine has its loopback interface up."
    : `Pass an address of this machine as ${host}, or leave it out.`;
}

/** The limit of open files of this process and the number open; undefined where the system does not say. Linux. */
export function openFiles(): { readonly max: number; readonly open: number } | undefined {
  try {
    const max = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return max === undefined ? undefined : { max: Number(max), open: readdirSync("/proc/self/fd").length };
  } catch {
    return undefined;
  }
}

/**
 * How many connections a server may take so that the limit of open files cuts none.
 * @param wanted the count where the limit allows it
 * @param reserved files that this process opens beside them from now on
 * @returns at least 1
 */
export function connectionsThatFit(
  wanted: number,
  reserved: number,
): { readonly count: number; readonly openFilesMax?: number } {
  const files = openFiles();
  if (files === undefined) return { count: wanted };
  return { count: Math.min(wanted, Math.max(1, files.max - files.open - reserved)), openFilesMax: files.max };
}
