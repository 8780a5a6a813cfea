#!/usr/bin/env bash
# Installs build/hubcast_*.deb in a root of its own, starts its services as their units say, upgrades it while they run,
# removes it, and purges it. Needs root.
#
#   packaging/check-deb.sh                 in an overlay of this machine's own root, which has to be Debian
#   packaging/check-deb.sh --debootstrap   in a Debian that debootstrap makes: it has what the package asks for, and no Node
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ "${1:-}" != --inside ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  lower=/
  if [ "${1:-}" = --debootstrap ]; then
    lower=$work/debian
    # shellcheck source=/dev/null
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -1)
    debootstrap --variant=minbase --include=adduser,systemd "$release" "$lower" "$mirror"
  fi
  mkdir "$work/inside"
  # What is mounted and started there ends with it, and its network is nobody else's.
  unshare --mount --net --pid --fork --kill-child --mount-proc "$0" --inside "$work/inside" "$lower"
  exit
fi

work=$2
lower=$3
root=$work/root
running=()
trap 'echo "check-deb.sh: line $LINENO failed" >&2; tail -n 40 "$work"/*.log >&2' ERR
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/overlay" "$root"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$work/upper,workdir=$work/overlay" "$root"
# As the units see it: processes of others, and all that is no process, are not there.
mount -t proc -o subset=pid,hidepid=invisible proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
mount --bind /dev "$root/dev"
ip link set lo up

ROOT_ENVIRONMENT=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/ LC_ALL=C.UTF-8)

in_root() {
  chroot "$root" env -i "${ROOT_ENVIRONMENT[@]}" "$@"
}

# In the place of this process.
exec_in_root() {
  exec chroot "$root" env -i "${ROOT_ENVIRONMENT[@]}" "$@"
}

fails() {
  ! "$@"
}

# As any user.
hubcast() {
  in_root setpriv --reuid nobody --regid nogroup --clear-groups hubcast "$@"
}

setting() { # of a unit
  sed -n "s/^$2=//p" "$root/usr/lib/systemd/system/$1.service"
}

# Starts a unit as systemd would: its user, its variables, its directory, and until it says that it is ready.
start() {
  local user directory variables
  user=$(setting "$1" User)
  directory=$(setting "$1" StateDirectory)
  [ -z "$directory" ] || in_root install -d -o "$user" -g "$user" -m 0700 "/var/lib/$directory"
  mapfile -t variables < <(setting "$1" Environment; grep -v '^#' "$root/etc/default/$1" | grep = || true)
  python3 - "$root/run/notify" >"$work/notify.log" <<'PYTHON' &
import os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
    manager.bind(sys.argv[1])
    os.chmod(sys.argv[1], 0o666)
    manager.settimeout(60)
    while "READY=1" not in manager.recv(4096).decode().split("\n"):
        pass
    print("ready")
PYTHON
  local manager=$!
  until [ -S "$root/run/notify" ]; do kill -0 "$manager"; sleep 0.05; done
  # shellcheck disable=SC2046
  exec_in_root setpriv --reuid "$user" --regid "$user" --init-groups --bounding-set -all --no-new-privs \
    env NOTIFY_SOCKET=/run/notify "${variables[@]}" sh -c 'umask 0077; ulimit -n 65536; exec "$@"' - \
    $(setting "$1" ExecStart) >"$work/$1.log" 2>&1 &
  running+=($!)
  wait "$manager"
  rm "$root/run/notify"
  echo "$1 is ready, as process $! of $user"
}

# Each ends by itself, with 0.
stop() {
  local process
  for process in "${running[@]}"; do
    kill -TERM "$process"
    wait "$process"
  done
  running=()
}

install_package() {
  cp "$1" "$root/tmp/hubcast.deb"
  in_root dpkg --force-unsafe-io --install /tmp/hubcast.deb >"$work/dpkg.log" 2>&1
}

deb=$(echo build/hubcast_*_*.deb)
version=$(dpkg-deb --field "$deb" Version)

echo "==> install $version"
install_package "$deb"
hubcast --version
[ "$lower" = / ] || fails in_root sh -c 'command -v node'
[ "$(in_root stat -c '%U:%G %a' /etc/hubcast)" = "root:hubcast 750" ]
in_root bash -c '. /usr/share/bash-completion/completions/hubcast && complete -p hubcast'
if [ -e "$root/usr/bin/zsh" ]; then
  in_root zsh -fc 'autoload -Uz compinit && compinit -D -u && echo "zsh: $_comps[hubcast]"' | grep "zsh: _hubcast"
fi
if [ -e "$root/usr/bin/man" ]; then
  in_root man --warnings --local-file /usr/share/man/man1/hubcast.1.gz >/dev/null 2>"$work/man.log"
  [ ! -s "$work/man.log" ]
fi
for unit in hubcast-node hubcast-hub; do
  # It also finds fault with other units, and with a root that has no man.
  in_root systemd-analyze verify "/usr/lib/systemd/system/$unit.service" >"$work/verify.log" 2>&1 || true
  fails grep -E "^$unit|$unit.service.*(line|Unknown)" <(grep -v "Command 'man " "$work/verify.log")
  # In tenths.
  in_root systemd-analyze security --offline=true --threshold=20 "/usr/lib/systemd/system/$unit.service" >"$work/security.log" 2>&1
  tail -1 "$work/security.log"
done

echo "==> start both, use them, and reload"
in_root sh -c 'echo first-token >/etc/hubcast/token && chgrp hubcast /etc/hubcast/token && chmod 0640 /etc/hubcast/token'
echo HUBCAST_TOKEN_FILE=/etc/hubcast/token >>"$root/etc/default/hubcast-node"
start hubcast-node
start hubcast-hub
post() { # with that token
  in_root env HUBCAST_TOKEN="$1" hubcast broadcast post "$2" >/dev/null 2>"$work/post.log"
}
post first-token "before the upgrade"
hubcast hub who 2>&1 | grep "nobody else"
in_root sh -c 'echo second-token >/etc/hubcast/token'
kill -HUP "${running[@]}"
for _ in $(seq 100); do post second-token "after the reload" && break; sleep 0.1; done
fails post first-token "with the old token"

echo "==> upgrade while they run"
mkdir "$work/newer"
cp -a build/deb/. "$work/newer"
sed "s/^Version: .*/Version: $version+newer/" build/deb/DEBIAN/control >"$work/newer/DEBIAN/control"
dpkg-deb --root-owner-group -Znone --build "$work/newer" "$work/newer.deb" >/dev/null
# There is no systemd here, but a package that finds one has to start anew what runs.
mkdir -p "$root/run/systemd/system"
printf '#!/bin/sh\necho "$@" >>/run/systemctl\n' >"$root/usr/local/sbin/systemctl"
chmod +x "$root/usr/local/sbin/systemctl"
rm -f "$root/usr/sbin/policy-rc.d"
install_package "$work/newer.deb"
rm "$work/newer.deb"
[ "$(in_root dpkg-query -W -f '${Version}' hubcast)" = "$version+newer" ]
grep -q token "$root/etc/default/hubcast-node"
cat "$root/run/systemctl"
grep "try-restart hubcast-node.service hubcast-hub.service" "$root/run/systemctl"
# What ran goes on until then, and gives its items to what is started anew.
post second-token "from the old version"
stop
start hubcast-node
start hubcast-hub
in_root env HUBCAST_TOKEN=second-token hubcast broadcast list >"$work/list.log"
cat "$work/list.log"
[ "$(wc -l <"$work/list.log")" = 3 ]

echo "==> remove: what it kept stays"
in_root dpkg --remove hubcast >"$work/dpkg.log" 2>&1
grep "stop hubcast-node.service hubcast-hub.service" "$root/run/systemctl"
stop
[ ! -e "$root/usr/bin/hubcast" ]
[ -n "$(ls -A "$root/var/lib/hubcast-node")" ]
grep -q token "$root/etc/default/hubcast-node"

echo "==> purge: it is gone"
in_root dpkg --purge hubcast >"$work/dpkg.log" 2>&1
[ ! -e "$root/var/lib/hubcast-node" ]
[ ! -e "$root/etc/default/hubcast-node" ]
[ -e "$root/etc/hubcast/token" ]
fails in_root dpkg-query -W hubcast 2>/dev/null
echo "the package works"
