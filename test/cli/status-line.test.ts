import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { StatusLine } from "../../src/cli/live-status.js";

/** A terminal of so many columns, and what was written to it. */
function terminal(columns: number | undefined, isTTY = true) {
  const stream = Object.assign(new PassThrough(), { isTTY, columns }) as unknown as NodeJS.WriteStream;
  return { stream, written: () => String((stream as unknown as PassThrough).read() ?? "") };
}

test("the line is replaced by the next, and taken away at the end", () => {
  const { stream, written } = terminal(80);
  const line = new StatusLine(stream, []);
  line.show("1 item");
  line.show("2 items");
  line.close();
  expect(written()).toBe("\r\x1b[2K1 item\r\x1b[2K2 items\r\x1b[2K");
  stream.write("after\n");
  expect(written()).toBe("after\n");
});

test("what is written to the terminal goes above it, by whichever stream", () => {
  const [error, out] = [terminal(80), terminal(80)];
  const line = new StatusLine(error.stream, [out.stream]);
  line.show("1 item");
  error.written();
  error.stream.write("a warning\n");
  expect(error.written()).toBe("\r\x1b[2Ka warning\n\r\x1b[2K1 item");
  out.stream.write("a result\n");
  expect([error.written(), out.written()]).toEqual(["\r\x1b[2K\r\x1b[2K1 item", "a result\n"]);
  line.close();
});

test("a stream that is no terminal is left alone", () => {
  const [error, file] = [terminal(80), terminal(undefined, false)];
  const line = new StatusLine(error.stream, [file.stream]);
  line.show("1 item");
  error.written();
  file.stream.write("a result\n");
  expect([error.written(), file.written()]).toEqual(["", "a result\n"]);
  line.close();
});

test("a line that a narrower terminal has wrapped is erased with all its rows", () => {
  const { stream, written } = terminal(80);
  const line = new StatusLine(stream, []);
  line.show("node kitchen ready, 12 items");
  written();
  stream.columns = 10;
  line.show("node");
  expect(written()).toBe("\r\x1b[2A\x1b[Jnode");
  line.show("node");
  expect(written()).toBe("\r\x1b[2Knode");
});

test.each([
  [10, "a lot to…"],
  [0, "a lot to say"],
  [undefined, "a lot to say"],
])("on %s columns it does not wrap", (columns, shown) => {
  const { stream, written } = terminal(columns);
  new StatusLine(stream, []).show("a lot to say");
  expect(written()).toBe(`\r\x1b[2K${shown}`);
});
