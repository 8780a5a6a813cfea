import * as Flags from "@oclif/core/flags";
import { BaseCommand } from "../../cli/base-command.js";
import { writeSecretFile } from "../../cli/flag-file.js";
import { newSigningKey, publicKeyOf } from "../../node/keys.js";

export default class Generate extends BaseCommand<typeof Generate> {
  static override summary = "Make a key that signs items, and print its public key.";
  static override description =
    "Writes an Ed25519 private key (PKCS#8 PEM) that only you can read. Items signed with it prove who wrote them: give its public key, which is printed, to those who run nodes, for their --trust file.";
  static override examples = [
    { description: "Make a key:", command: "<%= config.bin %> <%= command.id %> --out author.pem" },
    {
      description: "Make one, and trust it on this machine's node:",
      command: "<%= config.bin %> <%= command.id %> --out author.pem >> trusted.txt",
    },
    {
      description: "Sign with it:",
      command: '<%= config.bin %> broadcast post --sign-key author.pem "doors open at nine"',
    },
  ];
  static override flags = {
    out: Flags.string({
      description: "File to write, mode 0600; one that exists is never written over.",
      helpValue: "FILE",
      required: true,
    }),
  };

  async run(): Promise<void> {
    const { out } = this.flags;
    const pem = newSigningKey();
    await writeSecretFile(out, pem);
    const publicKey = publicKeyOf(pem)!;
    this.output.document({ publicKey, file: out });
    this.output.text(publicKey);
    this.output.note(`the private key is in ${out}: keep it secret, and keep a copy`);
  }
}
