import { execFile } from "node:child_process";
import type { Output } from "./output.js";

/**
 * Tells a service manager that this server listens, where one asked for it (sd_notify(3), `Type=notify` of a systemd unit).
 * Node opens no datagram socket of the Unix family, so systemd's own program does: the unit needs `NotifyAccess=all`.
 */
export function notifyReady(output: Output): void {
  if (!process.env.NOTIFY_SOCKET) return;
  execFile("systemd-notify", ["--ready"], (error) => {
    if (error) output.warning(`cannot tell the service manager that this server is up: ${error.message}`);
  });
}
