import * as Flags from "@oclif/core/flags";

/** For commands that look around; `flagList` reads its value. */
export const MDNS_INTERFACE_FLAG = Flags.string({
  description: "Use multicast DNS only on this interface, by name or address.",
  env: "HUBCAST_MDNS_INTERFACE",
  helpValue: "INTERFACE",
  multiple: true,
  multipleNonGreedy: true,
});
