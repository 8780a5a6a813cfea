import { test } from "vitest";
import { openDnsSd } from "../../../src/net/dnssd/index.js";

test("try", async () => {
  const t0 = performance.now();
  const log = (...a: unknown[]) => console.log(Math.round(performance.now() - t0), ...a);
  const a = await openDnsSd({ interfaces: ["127.0.0.1"], onWarning: (w) => log("warn a", w) });
  const ad = await a.advertise({
    type: "_hubcast._tcp",
    name: "x.y",
    id: "AAA",
    port: 1234,
    txt: { cluster: "c" },
  });
  log("advertised", ad.name);
  const b = await openDnsSd({ interfaces: ["lo"], onWarning: (w) => log("warn b", w) });
  log("b open");
  b.browse("_hubcast._tcp", {
    up: (s) => log("up", s),
    changed: (s) => log("changed", s),
    down: (s) => log("down", s.name),
  });
  const ad2 = await b.advertise({
    type: "_hubcast._tcp",
    name: "x.y",
    id: "BBB",
    port: 1235,
    txt: { cluster: "c" },
    onRenamed: (n) => log("renamed", n),
  });
  log("advertised", ad2.name);
  await new Promise((r) => setTimeout(r, 300));
  await a.close();
  log("a closed");
  await new Promise((r) => setTimeout(r, 700));
  await b.close();
  log("b closed");
});
