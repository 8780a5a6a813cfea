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

/** As URLs write it: an IPv6 address in brackets. */
export function urlHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** @returns `HOST:PORT` */
export function hostAndPort({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${urlHost(host)}:${port}`;
}

/** The key under which a caller is counted: a machine may use any IPv6 address within its /64. */
export function networkOf(remoteAddress = ""): string {
  const bare = canonicalHost(remoteAddress);
  if (!bare.includes(":")) return bare;
  const [head = "", tail] = bare.split("%")[0]!.split("::");
  const first = head === "" ? [] : head.split(":");
  const last = tail ? tail.split(":") : [];
  const zeros = tail === undefined ? [] : new Array<string>(8 - first.length - last.length).fill("0");
  return [...first, ...zeros, ...last].slice(0, 4).join(":");
}
