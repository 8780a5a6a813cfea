import { extname } from "node:path";
import { parentPort } from "node:worker_threads";

// The thread itself: takes batches as verifier.ts packs them, answers a byte for each check.

// By name at run time, since an unbuilt file finds no other by `.js`.
const module: typeof import("../replica/signature.js") = await import(
  new URL(`../replica/signature${extname(import.meta.url)}`, import.meta.url).href
);
const ed25519 = new module.Ed25519();

parentPort!.on("message", (batch: Uint8Array) => {
  const view = new DataView(batch.buffer);
  const verdicts: number[] = [];
  for (let start = 0; start < batch.length; ) {
    const messageStart = start + 100;
    const end = messageStart + view.getUint32(start + 96);
    const proof = {
      publicKey: batch.subarray(start, start + 32),
      signature: batch.subarray(start + 32, start + 96),
      message: batch.subarray(messageStart, end),
    };
    verdicts.push(ed25519.accepts(proof) ? 1 : 0);
    start = end;
  }
  parentPort!.postMessage(Uint8Array.from(verdicts));
});
