// The kinds that a wire tells apart, from the built load generator.
export const { KIND } = (await import(
  new URL("../../build/src/hub/simulate/proof/wire.js", import.meta.url).href
)) as typeof import("../../src/hub/simulate/proof/wire.js");
