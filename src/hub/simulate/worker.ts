// A process of simulated clients: takes orders, says words. It ends when the command does, however that happens.
import { asHubcastError } from "../../core/errors.js";
import type { Order, Word } from "./orders.js";
import type { Wire } from "./protocol/wire.js";
import { Team } from "./team.js";

const BEAT_MS = 100;

let team: Team | undefined;

process.on("disconnect", () => process.exit());
// Ctrl-C reaches the whole group; the command decides what comes of it.
process.on("SIGINT", () => {});
process.on("message", (order: Order) => {
  carryOut(order).catch((error: unknown) => {
    const { code, message, suggestions } = asHubcastError(error);
    say({ type: "failed", code, message, suggestions });
  });
});

async function carryOut(order: Order): Promise<void> {
  switch (order.type) {
    case "open": {
      const { share } = order;
      const ofHub = share.token === undefined ? "./protocol/hub-wire.js" : "./protocol/hub-wire-2.js";
      const { wire } = (await import(share.wireUrl ?? ofHub)) as { wire: Wire };
      team = new Team(share, wire);
      say({ type: "opened", ids: await team.open() });
      break;
    }
    case "meet":
      await team!.meet(order.ids);
      say({ type: "met" });
      break;
    case "go":
      team!.go(order.startUs);
      beatFrom(performance.eventLoopUtilization(), process.cpuUsage());
      break;
    case "finish":
      say({ type: "result", result: await team!.finish() });
  }
}

function beatFrom(loop: ReturnType<typeof performance.eventLoopUtilization>, cpu: NodeJS.CpuUsage): void {
  const beat = (): void => {
    const { user, system } = process.cpuUsage(cpu);
    const { active, idle } = performance.eventLoopUtilization(loop);
    say({ type: "beat", ...team!.beat(), cpuUs: user + system, activeMs: active, wallMs: active + idle });
  };
  setInterval(beat, BEAT_MS);
}

function say(word: Word): void {
  process.send!(word, () => {});
}
