import { nowMs } from "../clock.js";
import type { CompleteHubOptions } from "../options.js";
import type { HubMachine } from "../protocol/hub-machine.js";
import type { IdBlocks } from "../protocol/ids.js";
import { Uplink } from "./uplink.js";

/** The hub that is to be connected with others. */
interface Joining {
  readonly machine: HubMachine;
  readonly ids: IdBlocks;
  carryOut(): void;
  attach(uplink: Uplink): void;
}

/**
 * Connects a hub with the others of its engine. Resolves when their clients are known; leaves nothing open otherwise.
 * @throws natsUnreachable, natsRefused, natsNoJetStream, natsUnusable, invalidOption
 */
export async function openUplink(options: CompleteHubOptions, hub: Joining): Promise<Uplink> {
  const { engine, name, logger, nats } = options;
  const onWarning = (message: string): void => logger?.warn({ engine: "nats" }, message);
  const { openNatsRouter } = await import("./nats/nats-router.js");
  const router = await openNatsRouter({
    ...nats,
    engine,
    name,
    replicas: nats?.replicas ?? 1,
    onWarning,
  });
  const { machine, ids } = hub;
  const uplink = new Uplink({ name, router, machine, ids, nowMs, carryOut: () => hub.carryOut(), onWarning });
  hub.attach(uplink);
  try {
    await uplink.open();
    return uplink;
  } catch (error) {
    await uplink.close();
    throw error;
  }
}
