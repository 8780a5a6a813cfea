/** Whether only this machine can reach a listener of that name or address. */
export function isLoopbackHost(host: string): boolean {
  const name = canonicalHost(host);
  return (
    name === "localhost" ||
    name.endsWith(".localhost") ||
    name === "::1" ||
    /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name)
  );
}

/** Lower case, no brackets, no dot at the end, no IPv6 wrapping of an IPv4 address. */
export function canonicalHost(host: string): string {
  return host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, "$1")
    .replace(/\.$/, "")
    .replace(/^::ffff:(?=\d+\.)/, "");
}
