import { describe, expect, test } from "vitest";
import { LIMITS } from "../../src/core/limits.js";
import { TokenTable } from "../../src/runtime/tokens.js";

const HERE = "192.0.2.1";
const { tokenGuessesMax, tokenGuessesPerSecond, tokenGuessersMax } = LIMITS;

function tableAt(clock: { ms: number }, limited: string[] = []): TokenTable {
  const tokens = [
    { token: "right", role: "post" },
    { token: "reads", role: "read" },
  ] as const;
  return new TokenTable(
    tokens,
    "node",
    (address) => void limited.push(address),
    () => clock.ms,
  );
}

function guess(table: TokenTable, times: number, address = HERE): unknown[] {
  return Array.from({ length: times }, (_, n) => table.match(`guess ${n} ${address}`, address));
}

describe("an address that guesses", () => {
  test("is told that its guesses are wrong, then learns nothing more, also of the right token", () => {
    const limited: string[] = [];
    const table = tableAt({ ms: 0 }, limited);
    expect(new Set(guess(table, tokenGuessesMax))).toEqual(new Set(["unauthorized"]));
    expect(new Set(guess(table, 10))).toEqual(new Set(["tooManyGuesses"]));
    expect(table.match("right", HERE)).toBe("tooManyGuesses");
    expect(limited).toEqual([HERE]);
    expect(() => table.check("Bearer right", "read", HERE)).toThrow("too many wrong tokens");
  });

  test("has guesses again after a while, and the right token passes", () => {
    const clock = { ms: 0 };
    const table = tableAt(clock);
    guess(table, tokenGuessesMax + 1);
    clock.ms += 1_000 / tokenGuessesPerSecond;
    expect(table.match("right", HERE)).toMatchObject({ role: "post" });
    expect(guess(table, 2)).toEqual(["unauthorized", "tooManyGuesses"]);
  });

  test("locks out nobody whose token was right from there before, and no other address", () => {
    const table = tableAt({ ms: 0 });
    const { name } = table.match("right", HERE) as { name: string };
    guess(table, tokenGuessesMax + 1);
    expect(table.match("right", HERE)).toMatchObject({ name });
    expect(table.match("reads", HERE)).toBe("tooManyGuesses");
    expect(table.match("reads", "192.0.2.2")).toMatchObject({ role: "read" });
  });

  test("is one guesser with all addresses of its IPv6 network, and with its IPv4 address in IPv6 spelling", () => {
    const table = tableAt({ ms: 0 });
    for (let n = 0; n <= tokenGuessesMax; n++) table.match(`guess ${n}`, `2001:db8::${n.toString(16)}`);
    expect(table.match("right", "2001:db8:0:0:ffff::1")).toBe("tooManyGuesses");
    expect(table.match("right", "2001:db8:0:1::1")).toMatchObject({ role: "post" });
    guess(table, tokenGuessesMax + 1);
    expect(table.match("right", `::ffff:${HERE}`)).toBe("tooManyGuesses");
  });
});

test("a program that shows the same wrong token again and again uses up no guesses of others there", () => {
  const table = tableAt({ ms: 0 });
  for (let n = 0; n < 2 * tokenGuessesMax; n++) expect(table.match("old", HERE)).toBe("unauthorized");
  expect(table.match("right", HERE)).toMatchObject({ role: "post" });
});

test("addresses are remembered up to a bound", () => {
  const table = tableAt({ ms: 0 });
  guess(table, tokenGuessesMax + 1);
  for (let n = 0; n < tokenGuessersMax; n++) table.match("x", `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`);
  expect(table.match("right", HERE)).toMatchObject({ role: "post" });
});
