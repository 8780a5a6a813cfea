import { render } from "ink";
import type { Snapshot } from "../../hub/simulate/index.js";
import { SimulationView } from "./view.js";

/** Draws a run on a terminal while it lasts. */
export function liveSimulation(stderr: NodeJS.WriteStream): {
  show: (snapshot: Snapshot) => void;
  end: () => void;
} {
  const screen = render(<SimulationView snapshot={undefined} />, {
    stdout: stderr,
    exitOnCtrlC: false,
    patchConsole: false,
  });
  return {
    show: (snapshot) => screen.rerender(<SimulationView snapshot={snapshot} />),
    end: () => {
      screen.clear();
      screen.unmount();
    },
  };
}
