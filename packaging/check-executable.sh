#!/usr/bin/env bash
# Uses build/hubcast as somebody would who has nothing else: in an empty directory, with no Node on PATH and an empty
# environment. Runs the demo, a node that is killed and started again on its data directory, a hub and what loads it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
executable=$PWD/build/hubcast
work=$(mktemp -d)
started=
trap 'echo "check-executable.sh: line $LINENO failed" >&2; cat "$work"/*.log >&2' ERR
trap '[ -z "$started" ] || kill -9 "$started" 2>/dev/null; rm -rf "$work"' EXIT
mkdir "$work/home" "$work/empty"
cd "$work/empty"

hubcast() {
  env -i HOME="$work/home" TMPDIR="$work/home" PATH="$work/empty" "$executable" "$@"
}

# Starts a server in the background, and waits for the line that says that it listens: $ready.
start() {
  env -i HOME="$work/home" TMPDIR="$work/home" PATH="$work/empty" "$executable" "$@" --no-mdns --json >"$work/ready" 2>"$work/start.log" &
  started=$!
  for _ in $(seq 300); do
    [ ! -s "$work/ready" ] || break
    kill -0 "$started"
    sleep 0.1
  done
  ready=$(head -1 "$work/ready")
}

# Every server ends by itself, with 0.
stop() {
  kill -TERM "$started"
  wait "$started"
  started=
}

value() { # of a name in one line of JSON
  sed -E 's/.*"'"$1"'":"?([^",}]*).*/\1/'
}

echo "==> $(hubcast --version)"
hubcast --help | grep broadcast >/dev/null
hubcast help broadcast post | grep EXAMPLES >/dev/null
hubcast completion bash | grep _hubcast >/dev/null

hubcast demo
[ -z "$(ls -A)" ] || { echo "the demo left files: $(ls -A)" >&2; exit 1; }

echo "==> a node on a data directory, killed and started again"
start broadcast start --port 0 --p2p-host 127.0.0.1 --data-dir ../items
url=$(echo "$ready" | value url)
hubcast keys generate --out ../key >/dev/null 2>&1
# Ed25519 is verified on a thread, as the data directory is written by one.
id=$(hubcast broadcast post "from the executable, ✓" --sign-key ../key --url "$url")
kill -9 "$started"
wait "$started" || true
start broadcast start --port 0 --p2p-host 127.0.0.1 --data-dir ../items
url=$(echo "$ready" | value url)
hubcast broadcast list --url "$url" >"$work/list.log"
grep "$id .* from the executable, ✓" "$work/list.log"
curl -s "$url/" >"$work/page.log"
grep "<title>" "$work/page.log"
hubcast top --once --url "$url" >"$work/top.log"
grep "1 item" "$work/top.log"
stop

echo "==> a hub, and a load of hub simulate's own"
start hub start --port 0
hubcast hub who --addr "$(echo "$ready" | value address)"
stop
hubcast hub simulate -c 10 -n 20 2>/dev/null | grep "^delivered: all"
[ -z "$(ls -A)" ]
echo "the executable works"
