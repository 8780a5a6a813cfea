import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { HubcastError } from "../../../core/errors.js";
import { noJetStream } from "../../../runtime/nats.js";
import { isPassing, isWithoutJetStream, unusable } from "./faults.js";

/** Servers that were started together elect their leader in that time. */
const ELECTION_MS_MAX = 10_000;
const PAUSE_MS = 200;

/** @throws natsAway, natsNoJetStream, natsUnusable */
export async function openJetStream(connection: NatsConnection): Promise<JetStreamManager> {
  const { jetstreamManager } = await import("@nats-io/jetstream");
  return await untilElected(connection, () => jetstreamManager(connection));
}

/**
 * Asks until somebody is there to answer.
 * @throws natsAway when nobody does in time; natsNoJetStream, natsUnusable, or what `ask` throws of our own
 */
export async function untilElected<Answer>(
  connection: NatsConnection,
  ask: () => Promise<Answer>,
): Promise<Answer> {
  const endMs = performance.now() + ELECTION_MS_MAX;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (error instanceof HubcastError) throw error;
      const server = connection.getServer();
      // A server without it says so when one connects; one of many may have it for the others, and then answers.
      if (isWithoutJetStream(error) || connection.info?.jetstream !== true) throw noJetStream(server, error);
      if (!isPassing(error)) throw unusable(server, error as Error);
      if (performance.now() > endMs)
        throw new HubcastError("natsAway", `JetStream at ${server} does not answer`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}
