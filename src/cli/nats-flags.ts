import * as Flags from "@oclif/core/flags";
import { defined } from "./defined.js";
import { readFlagFile } from "./flag-file.js";

/** Where help shows them. */
export const NATS = { helpGroup: "NATS" };

/** What `--engine nats://...` takes besides, of a node as of a hub. */
export const NATS_FLAGS = {
  "nats-credentials": Flags.string({
    description:
      "File that lets this program into NATS: a .creds file of nsc, an nkey seed, USER:PASSWORD, or a token.",
    helpValue: "FILE",
    ...NATS,
  }),
  "nats-ca": Flags.string({
    description: "Authorities (PEM) that may have signed the certificate of the NATS server.",
    helpValue: "FILE",
    ...NATS,
  }),
};

interface NatsFlags {
  readonly "nats-credentials"?: string | undefined;
  readonly "nats-ca"?: string | undefined;
}

/** What the files hold. @throws usage when one cannot be read */
export async function natsAccess(flags: NatsFlags): Promise<{ credentials?: string; ca?: string }> {
  const { "nats-credentials": credentials, "nats-ca": ca } = flags;
  return defined({
    credentials:
      credentials === undefined ? undefined : await readFlagFile(credentials, "--nats-credentials"),
    ca: ca === undefined ? undefined : await readFlagFile(ca, "--nats-ca"),
  });
}
