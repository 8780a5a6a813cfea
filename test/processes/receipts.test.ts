import { expect, it } from "vitest";
import { killsDuringPosts } from "../fixtures/receipt-kills.js";

/** `KILLS=40 npx vitest run test/processes/receipts.test.ts` measures, and shows how soon posts are answered. */
const KILLS = Number(process.env.KILLS ?? 2);

it("a receipt never names a node that does not hold the item, whoever is killed while it is waited for", {
  timeout: 60_000 + KILLS * 30_000,
}, async () => {
  const answers = await killsDuringPosts(KILLS);
  expect(answers).toHaveLength(KILLS);
  for (const { receipt, isHeldBy, holdersClaimed } of answers) {
    expect(isHeldBy).toEqual(expect.arrayContaining([...holdersClaimed]));
    expect(receipt.complete).toBe(receipt.holders.length === receipt.of);
    expect(receipt.holders.length + receipt.missing.length).toBe(receipt.of);
  }
  if (process.env.KILLS === undefined) return;
  const incomplete = answers.filter(({ receipt }) => !receipt.complete).length;
  console.log(`${KILLS} kills, ${incomplete} receipts incomplete`);
  console.log(
    `ms from the kill to the answer: ${sorted(answers.map(({ answeredAfterMs }) => answeredAfterMs))}`,
  );
  console.log(`ms from the loss: ${sorted(answers.map(({ answeredAfterLossMs }) => answeredAfterLossMs))}`);
});

function sorted(values: readonly number[]): string {
  return values
    .map(Math.round)
    .sort((a, b) => a - b)
    .join(" ");
}
