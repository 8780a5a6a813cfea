#!/usr/bin/env bash
# Packs hubcast, installs the package in an empty directory on Node 22 and Node 24, and uses it there: help, types, a
# node that starts, takes an item, lists it, and stops cleanly. Slow (it downloads); run it before a release.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
work=$(mktemp -d)
started=
trap 'echo "check-package.sh: line $LINENO failed" >&2' ERR
trap '[ -z "$started" ] || kill "$started" 2>/dev/null; rm -rf "$work"' EXIT

npm pack --silent --pack-destination "$work" >/dev/null
package=$(echo "$work"/hubcast-*.tgz)

# What an installation brings: not Node, which its users have.
mkdir "$work/alone"
cd "$work/alone"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund "$package"
echo "==> $(du -h "$package" | cut -f1) packed; $(npm ls --all --parseable | tail -n +2 | wc -l) packages, $(du -sh node_modules | cut -f1) installed"

[ $# -gt 0 ] || set -- 22 24
for major; do
  echo "==> Node $major"
  place=$work/node$major
  mkdir "$place"
  cd "$place"
  npm init --yes >/dev/null
  npm install --silent --no-audit --no-fund --omit=dev "node@$major" "$package"
  export PATH="$place/node_modules/.bin:$root/node_modules/.bin:$PATH"
  hash -r
  case "$(node --version)" in "v$major."*) ;; *) echo "runs on $(node --version), not $major" >&2; exit 1 ;; esac

  hubcast --version
  hubcast --help | grep -q broadcast
  hubcast broadcast post --help | grep -q EXAMPLES

  echo 'import { type Broadcast, connectToNode, HubcastError, startNode } from "hubcast";
    export const all: unknown[] = [connectToNode, HubcastError, startNode];
    export type B = Broadcast;' >use.mts
  "$root/node_modules/.bin/tsc" --noEmit --strict --target es2023 --lib es2024,esnext.disposable --types node \
    --typeRoots "$root/node_modules/@types" --module nodenext --skipLibCheck use.mts
  node --input-type=module -e 'const h = await import("hubcast"); if (!h.startNode) process.exit(1)'

  hubcast broadcast start --port 0 --no-mdns --p2p-host 127.0.0.1 --json >ready.json 2>start.log &
  started=$!
  for _ in $(seq 100); do
    [ ! -s ready.json ] || break
    kill -0 "$started" 2>/dev/null || { cat start.log >&2; exit 1; }
    sleep 0.1
  done
  url=$(node -p 'JSON.parse(require("fs").readFileSync("ready.json", "utf8")).url')
  id=$(hubcast broadcast post "from the package" --url "$url")
  hubcast broadcast list --url "$url" | grep -q "$id"
  kill -TERM "$started"
  wait "$started"
  started=
  cd "$root"
done
echo "the package works"
