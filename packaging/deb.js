// Makes build/hubcast_VERSION_ARCH.deb from build/hubcast, by dpkg-deb: the executable, completion, man page and two systemd
// units. What is written by hand lies in packaging/debian, the rest is made from oclif.manifest.json.
//
//   npm run package:deb
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { manPage } from "./man.js";

process.umask(0o022);
process.chdir(fileURLToPath(new URL("../", import.meta.url)));
const ROOT = join("build", "deb");
const EXECUTABLE = join("build", "hubcast");
const ABOUT = join("usr", "share", "doc", "hubcast");
const pjson = JSON.parse(readFileSync("package.json", "utf8"));
const manifest = JSON.parse(readFileSync("oclif.manifest.json", "utf8"));

const VERSION = `${pjson.version}-1`;
const ARCHITECTURE = said("dpkg", "--print-architecture");
/** The last commit's, so that the same commit makes the same package. */
const EPOCH_S = process.env.SOURCE_DATE_EPOCH ?? said("git", "log", "-1", "--format=%ct");
const DATE = new Date(Number(EPOCH_S) * 1000);

/** As Debian's own tools take it. No address is ours to give. */
const MAINTAINER = `${process.env.DEBFULLNAME ?? pjson.author} <${process.env.DEBEMAIL ?? "hubcast@localhost"}>`;

/** The oldest that Node 24 runs on. */
const DEPENDS = "adduser, libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 5)";

/** Level 6 makes 28 MB of 114 instead of 33, in five times the time. */
const COMPRESSION = ["-Zxz", "-z1"];

if (!existsSync(EXECUTABLE))
  throw new Error(`${EXECUTABLE} is not there: npm run package:executable makes it`);
rmSync(ROOT, { recursive: true, force: true });
mkdirSync(join(ROOT, "etc", "hubcast"), { recursive: true });

cpSync(EXECUTABLE, join(ROOT, "usr", "bin", "hubcast"));
for (const service of ["node", "hub"]) {
  copy(`hubcast-${service}.service`, `usr/lib/systemd/system/hubcast-${service}.service`);
}
write("etc/default/hubcast-node", settings("broadcast:start", "hubcast-node"));
write("etc/default/hubcast-hub", settings("hub:start", "hubcast-hub"));
write("usr/share/bash-completion/completions/hubcast", said(EXECUTABLE, "completion", "bash"));
write("usr/share/zsh/vendor-completions/_hubcast", zshCompletion());
write("usr/share/man/man1/hubcast.1.gz", packed(manPage(manifest, pjson, DATE.toISOString().slice(0, 10))));
write(join(ABOUT, "changelog.gz"), packed(readFileSync("CHANGELOG.md")));
write(join(ABOUT, "changelog.Debian.gz"), packed(debianChangelog()));
write(join(ABOUT, "copyright"), copyright());
write(join(ABOUT, "licenses.gz"), packed(readFileSync(join("build", "LICENSES"))));
copy("lintian-overrides", "usr/share/lintian/overrides/hubcast");

for (const script of ["postinst", "prerm", "postrm"]) copy(script, `DEBIAN/${script}`, 0o755);
write("DEBIAN/conffiles", "/etc/default/hubcast-hub\n/etc/default/hubcast-node\n");
write("DEBIAN/control", control());
const sums = said("find", ROOT, "-type", "f", "-path", `${ROOT}/usr/*`).split("\n").sort();
write(
  "DEBIAN/md5sums",
  said("md5sum", ...sums)
    .replaceAll(`  ${ROOT}/`, "  ")
    .concat("\n"),
);

const deb = join("build", `hubcast_${VERSION}_${ARCHITECTURE}.deb`);
execFileSync("dpkg-deb", ["--root-owner-group", ...COMPRESSION, "--build", ROOT, deb], {
  stdio: ["ignore", "ignore", "inherit"],
  env: { ...process.env, SOURCE_DATE_EPOCH: EPOCH_S },
});
console.log(said("ls", "-sh", deb));

function control() {
  const kibibytes = said("du", "-sk", "--apparent-size", "--exclude=DEBIAN", ROOT).split("\t")[0];
  return `Package: hubcast
Version: ${VERSION}
Architecture: ${ARCHITECTURE}
Maintainer: ${MAINTAINER}
Installed-Size: ${kibibytes}
Depends: ${DEPENDS}
Section: net
Priority: optional
Description: shares recent items between the machines of a network
 Nodes find each other by multicast DNS and keep one shared set of recent
 items, which stays for a day whichever node dies or joins; no server is
 needed. Beside them there is a hub, a TCP server that relays messages
 between the clients that are connected to it.
 .
 One command runs and asks both. Two systemd units run a node and a hub as
 services; neither is enabled by the installation.
`;
}

/** The variables of a command, as a file that systemd reads: each flag that has one, commented out. */
function settings(id, service) {
  const { flags } = manifest.commands[id];
  const unit = readFileSync(join("packaging", "debian", `${service}.service`), "utf8");
  const set = Object.fromEntries([...unit.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, ...pair]) => pair));
  const variables = Object.values(flags).filter(({ env, name, hidden }) => env && !hidden && name !== "live");
  const secret =
    service === "hubcast-node"
      ? "HUBCAST_TOKEN may hold a token itself; then let nobody but root read this file."
      : "HUBCAST_TOKEN may hold the token itself; then let nobody but root read this file.";
  return `# Settings of ${service}.service: the flags of hubcast ${id.replace(":", " ")}, as variables. After a change:
#   systemctl restart ${service}
# Files that are named here must be readable for the user hubcast, and lie outside of /home: /etc/hubcast is made for them.
# ${secret}
${variables.map((flag) => setting({ ...flag, default: set[flag.env] ?? flag.default })).join("")}`;
}

function setting({ env, type, description, default: value, multiple }) {
  const more = multiple ? " Several are separated by commas." : "";
  const lines = wrapped(`${description.replace("; may be given again", "")}${more}`, 98);
  return `\n${lines.map((line) => `# ${line}\n`).join("")}#${env}=${type === "boolean" ? "true" : (value ?? "")}\n`;
}

function wrapped(prose, columns) {
  const lines = [""];
  for (const word of prose.split(/\s+/)) {
    if (lines.at(-1) !== "" && lines.at(-1).length + word.length >= columns) lines.push("");
    lines.push(`${lines.pop()} ${word}`.trim());
  }
  return lines;
}

/** Zsh loads this file when hubcast is first completed: it defines what completes, and then does it this once. */
function zshCompletion() {
  return `#compdef hubcast
autoload -U +X bashcompinit && bashcompinit
${said(EXECUTABLE, "completion", "bash")}
_bash_complete -F _hubcast
`;
}

function debianChangelog() {
  return `hubcast (${VERSION}) unstable; urgency=medium

  * Version ${pjson.version}: see changelog.gz.

 -- ${MAINTAINER}  ${DATE.toUTCString().replace("GMT", "+0000")}
`;
}

function copyright() {
  return `hubcast is under the licence below. /usr/bin/hubcast also contains Node.js and packages of npm, each under a licence
of its own: see licenses.gz beside this file.

${readFileSync("LICENSE", "utf8")}`;
}

function copy(name, path, mode) {
  write(path, readFileSync(join("packaging", "debian", name)), mode);
}

/** Files of a package have a mode of their own, whatever the mask is here. */
function write(path, content, mode = 0o644) {
  const place = join(ROOT, path);
  mkdirSync(dirname(place), { recursive: true });
  writeFileSync(place, content, { mode });
}

function packed(content) {
  return gzipSync(content, { level: 9 });
}

function said(program, ...args) {
  return execFileSync(program, args, { encoding: "utf8", maxBuffer: 2 ** 26 }).trimEnd();
}
