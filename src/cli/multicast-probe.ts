import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";

const GROUP = "224.0.0.251";
const DEADLINE_MS = 500;

/**
 * Sends a packet to the group of multicast DNS, on a port of our own, and waits for it to come back.
 * @param address an IPv4 address of the interface
 * @returns why it did not; undefined when it did
 */
export async function multicastFault(address: string): Promise<string | undefined> {
  const token = randomBytes(16);
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<string | undefined>((resolve) => {
      const failed = (error: Error) => resolve(error.message);
      timer = setTimeout(() => resolve("what is sent does not come back"), DEADLINE_MS);
      socket.on("error", failed);
      socket.on("message", (message) => {
        if (message.equals(token)) resolve(undefined);
      });
      socket.bind(0, () => {
        try {
          socket.addMembership(GROUP, address);
          socket.setMulticastInterface(address);
          socket.setMulticastTTL(1);
          socket.send(token, socket.address().port, GROUP, (error) => error && failed(error));
        } catch (error) {
          failed(error as Error);
        }
      });
    });
  } finally {
    clearTimeout(timer);
    socket.close();
  }
}
