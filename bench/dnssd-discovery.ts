// How long until a node is discovered on the loopback interface. Needs `npm run build`; then:
//   node bench/dnssd-discovery.ts [ROUNDS]
// found: from open and browse to `up` of a service that has long been announced.
// together: from open of two nodes at the same moment until each has seen the other (probing takes 750 ms of it).
const door = new URL("../build/src/discovery/index.js", import.meta.url).href;
const { openDnsSd } = (await import(door)) as typeof import("../src/discovery/index.js");
type DnsSd = Awaited<ReturnType<typeof openDnsSd>>;

const rounds = Number(process.argv[2] ?? 10);
const open = () => openDnsSd({ interfaces: ["127.0.0.1"] });
const service = (id: string) => ({ type: "_hubcast._tcp", name: id, id, port: 1, txt: {} }) as const;
const seen = (dnssd: DnsSd, id: string) =>
  new Promise<void>((resolve) => {
    dnssd.browse("_hubcast._tcp", {
      up: (found) => (found.id === id ? resolve() : undefined),
      down: () => {},
    });
  });

const found: number[] = [];
const resident = await open();
await resident.advertise(service(`resident-${process.pid}`));
for (let round = 0; round < rounds; round++) {
  const startMs = performance.now();
  const visitor = await open();
  await seen(visitor, `resident-${process.pid}`);
  found.push(performance.now() - startMs);
  await visitor.close();
  // Records repeat after 100 ms at the earliest; a visitor in between would measure that.
  await new Promise((resolve) => setTimeout(resolve, 150));
}
await resident.close();
report("found", found);

const together: number[] = [];
for (let round = 0; round < rounds; round++) {
  const [idA, idB] = [`a-${process.pid}-${round}`, `b-${process.pid}-${round}`];
  const startMs = performance.now();
  const [a, b] = await Promise.all([open(), open()]);
  const met = Promise.all([seen(a, idB), seen(b, idA)]);
  const advertised = Promise.all([a.advertise(service(idA)), b.advertise(service(idB))]);
  await met;
  together.push(performance.now() - startMs);
  await advertised;
  await Promise.all([a.close(), b.close()]);
}
report("together", together);

function report(name: string, timesMs: number[]): void {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.floor((sorted.length - 1) * part)]!.toFixed(1);
  console.log(`${name.padEnd(9)} ${rounds} rounds: median ${at(0.5)} ms, p90 ${at(0.9)} ms, max ${at(1)} ms`);
}
