import { Box, Text } from "ink";
import { formatSize } from "../../core/units.js";
import type { Snapshot } from "../../hub/simulate/index.js";

const BAR_COLUMNS = 40;

/** One frame: how far it is, how fast, how late, what the hub takes. */
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
      {closed > 0 && <Text color="red">{`${closed} clients were closed by the hub`}</Text>}
    </Box>
  );
}

function grouped(value: number): string {
  return Math.round(value).toLocaleString("en");
}
