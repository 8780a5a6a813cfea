import { Box, render, Text } from "ink";
import { counted } from "../core/text.js";
import { formatSize } from "../core/units.js";
import type { Snapshot } from "../hub/simulate/index.js";
import { useSuspension } from "./suspension.js";

const BAR_COLUMNS = 40;

export interface LiveSimulation {
  readonly show: (snapshot: Snapshot) => void;
  /** @param isCut the run was stopped: its last figures stay */
  readonly end: (isCut: boolean) => void;
}

/** Draws a run on a terminal while it lasts. */
export function liveSimulation(stderr: NodeJS.WriteStream): LiveSimulation {
  const screen = render(<Simulation snapshot={undefined} />, {
    stdout: stderr,
    exitOnCtrlC: false,
    patchConsole: false,
  });
  return {
    show: (snapshot) => screen.rerender(<Simulation snapshot={snapshot} />),
    end: (isCut) => {
      if (!isCut) screen.clear();
      screen.unmount();
    },
  };
}

function Simulation({ snapshot }: { readonly snapshot: Snapshot | undefined }) {
  useSuspension();
  return <SimulationView snapshot={snapshot} />;
}

/** One frame: progress, rate, latency, and the hub's memory and load. */
export function SimulationView({ snapshot }: { readonly snapshot: Snapshot | undefined }) {
  if (snapshot === undefined) return <Text dimColor>starting…</Text>;
  const { run, phase, clients, elapsedMs, deliveries, expected, hub, closed } = snapshot;
  const name = run === "load" ? "" : `${run} run, `;
  if (phase === "connecting" || phase === "meeting") {
    return (
      <Text>{`${name}${clients} clients: ${phase === "connecting" ? "connecting" : "until all see all"}…`}</Text>
    );
  }
  const share = expected === 0 ? 1 : Math.min(1, deliveries / expected);
  const full = Math.round(share * BAR_COLUMNS);
  return (
    <Box flexDirection="column">
      <Text>
        {name}
        <Text color="green">{"█".repeat(full)}</Text>
        <Text dimColor>{"░".repeat(BAR_COLUMNS - full)}</Text>
        {` ${Math.floor(share * 100)} %  ${(elapsedMs / 1_000).toFixed(1)} s`}
      </Text>
      <Text>
        {`${grouped(deliveries)} of ${grouped(expected)} deliveries, `}
        <Text bold>{grouped(snapshot.deliveriesPerSecond)}/s</Text>
        {`, ${formatSize(Math.round(snapshot.bytesPerSecond))}/s`}
      </Text>
      <Text>{`latency p50 ${snapshot.p50Ms.toFixed(1)} ms, p99 ${snapshot.p99Ms.toFixed(1)} ms`}</Text>
      {hub && <Text dimColor>{`hub ${formatSize(hub.rssBytes)}, busy ${Math.round(hub.loop * 100)} %`}</Text>}
      {closed > 0 && <Text color="red">{`${counted(closed, "client")} closed by the hub`}</Text>}
    </Box>
  );
}

function grouped(value: number): string {
  return Math.round(value).toLocaleString("en");
}
