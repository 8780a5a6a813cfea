import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe } from "vitest";
import { type NatsClusterOptions, openNatsCluster } from "../../../../src/node/cluster/nats/index.js";
import type { Cluster, ClusterOptions } from "../../../../src/node/cluster/port.js";
import { NatsServer, natsMissing } from "../../../fixtures/nats-server.js";
import { describeCluster } from "../contract.js";

describe.skipIf(natsMissing)("NATS", () => {
  const privateKeys = new WeakMap<Cluster, Uint8Array>();
  let server: NatsServer;
  let test = 0;

  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());
  // A stream keeps what earlier tests said.
  beforeEach(() => void test++);

  async function openEngine(
    { cluster, listener }: ClusterOptions,
    privateKey: Uint8Array = randomBytes(32),
  ): Promise<Cluster> {
    const opened = await openNatsCluster({
      cluster: `${cluster}-${test}`,
      listener,
      servers: [`127.0.0.1:${server.port}`],
      tls: false,
      retentionMs: 3_600_000,
      privateKey,
    } satisfies NatsClusterOptions);
    privateKeys.set(opened, privateKey);
    return opened;
  }

  describeCluster("nats", {
    meets: "everybody",
    open: (options) => openEngine(options),
    openTwin: (of, options) => openEngine(options, privateKeys.get(of)!),
  });
});
