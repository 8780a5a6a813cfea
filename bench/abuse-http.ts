// The HTTP that bench/abuse-attacker.ts sends, by name; not to be run by itself.
const CHUNKED = "Host: localhost\r\nTransfer-Encoding: chunked\r\n";
const JSON_HEAD = `POST /v1/items HTTP/1.1\r\nContent-Type: application/json\r\n${CHUNKED}`;
const BULK_HEAD = `POST /v1/items HTTP/1.1\r\nContent-Type: application/x-ndjson\r\n${CHUNKED}`;
const ONE_BYTE = "1\r\nx\r\n";

/** `head` is sent once on each connection, then `unit` again and again, as fast as the server reads. */
interface HttpAttack {
  readonly connections: number;
  readonly head: string;
  readonly unit: string;
  /** Each connection is given up after so many bytes, and another one is opened. */
  readonly bytesMax?: number;
  /** Each unit is a TCP segment of its own. */
  readonly segments?: boolean;
  /** No answer is read. */
  readonly unread?: boolean;
}

const jsonPost = (body: string) =>
  "POST /v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
  `Content-Length: ${body.length}\r\n\r\n${body}`;

export const HTTP_ATTACKS: Readonly<Record<string, HttpAttack>> = {
  chunks: { connections: 1, head: `${JSON_HEAD}\r\n`, unit: ONE_BYTE },
  "chunks-bulk": { connections: 1, head: `${BULK_HEAD}\r\n`, unit: ONE_BYTE },
  "chunks-many": { connections: 50, head: `${BULK_HEAD}\r\n`, unit: ONE_BYTE },
  "chunks-extended": { connections: 1, head: `${BULK_HEAD}\r\n`, unit: "1;a\r\nx\r\n" },
  "chunks-foreign-origin": {
    connections: 1,
    head: `${JSON_HEAD}Origin: http://evil.example\r\n\r\n`,
    unit: ONE_BYTE,
  },
  "chunks-foreign-host": {
    connections: 1,
    head: `${JSON_HEAD.replace("localhost", "evil.example")}\r\n`,
    unit: ONE_BYTE,
  },
  "chunks-no-token": { connections: 4, head: `${JSON_HEAD}\r\n`, unit: ONE_BYTE },
  "chunks-unasked": { connections: 4, head: `GET /healthz HTTP/1.1\r\n${CHUNKED}\r\n`, unit: ONE_BYTE },
  "chunks-anew": { connections: 20, head: `${JSON_HEAD}\r\n`, unit: ONE_BYTE, bytesMax: 65_536 },
  segments: {
    connections: 4,
    head: "POST /v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 6000000\r\n\r\n",
    unit: "x",
    segments: true,
  },
  "empty-lines": { connections: 4, head: `${BULK_HEAD}\r\n`, unit: `4000\r\n${"\n".repeat(16_384)}\r\n` },
  "bad-lines": { connections: 4, head: `${BULK_HEAD}\r\n`, unit: `4000\r\n${"{\n".repeat(8_192)}\r\n` },
  "short-lines": {
    connections: 4,
    head: `${BULK_HEAD}\r\n`,
    unit: `5c00\r\n${'{"id":"a","raw":"xyz"}\n'.repeat(1_024)}\r\n`,
  },
  "lines-full": {
    connections: 1,
    head: "",
    unit:
      "POST /v1/items?results=full HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n" +
      `Content-Length: 6000000\r\n\r\n${"1\n".repeat(3_000_000)}`,
  },
  structure: {
    connections: 4,
    head: "",
    unit: jsonPost(`{"raw":"x","rest":[${"{},".repeat(2_000_000)}{}]}`),
  },
  unread: {
    connections: 60,
    head: jsonPost(`{"id":"big","raw":"${"\\u0001".repeat(1_000_000)}"}`),
    unit: "GET /v1/items/big HTTP/1.1\r\nHost: localhost\r\n\r\n",
    unread: true,
  },
  "wrong-tokens": {
    connections: 4,
    head: "",
    unit: Array.from(
      { length: 600 },
      (_, n) => `GET /v1/items HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess-${n}\r\n\r\n`,
    ).join(""),
  },
  pipelined: { connections: 4, head: "", unit: "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" },
  headers: {
    connections: 4,
    head: "",
    unit: `GET /healthz HTTP/1.1\r\nHost: localhost\r\n${"a:\r\n".repeat(1_900)}\r\n`,
  },
};
