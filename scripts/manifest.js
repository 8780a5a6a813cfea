import { Plugin } from "@oclif/core";

/**
 * The commands in dist, their flags and help as oclif keeps them, so that a start need not load them all.
 * @param {string} root directory of the package
 * @returns {Promise<string>} text of oclif.manifest.json
 */
export async function commandManifest(root) {
  const plugin = new Plugin({
    root,
    type: "core",
    ignoreManifest: true,
    errorOnManifestCreate: true,
    respectNoCacheDefault: true,
  });
  await plugin.load();
  // Files come in the order of the disk; the text must not depend on it.
  const commands = Object.fromEntries(
    Object.entries(plugin.manifest.commands).sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  return `${JSON.stringify({ ...plugin.manifest, commands }, null, 2)}\n`;
}
