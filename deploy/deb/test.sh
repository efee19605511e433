#!/bin/sh
# test.sh OLD.deb NEW.deb: installs, configures, runs, upgrades, removes and purges in a fresh Debian, as root. The Debian is
# made by debootstrap and kept as a tar file in $DEB_CACHE (default ~/.cache/tickover); DEB_SUITE: bookworm.
set -eu
old=$1 new=$2
suite=${DEB_SUITE:-bookworm}
cache=${DEB_CACHE:-$HOME/.cache/tickover}
demo=$(cd "$(dirname "$0")/../demo" && pwd)
[ "$(id -u)" = 0 ] || { echo "deb-test needs root, for chroot" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "debootstrap is missing; apt install debootstrap" >&2; exit 1; }

root=$(mktemp -d)
chmod 755 "$root" # the daemon's user must be able to enter its own root folder
trap 'umount "$root/proc" 2>/dev/null || true; rm -rf "$root"' EXIT
mkdir -p "$cache"
if [ ! -e "$cache/$suite.tar" ]; then
	echo "making a fresh $suite"
	debootstrap --variant=minbase --include=python3,libstdc++6,systemd "$suite" "$root" ${DEB_MIRROR:-} >"$cache/debootstrap.log" 2>&1 \
		|| { tail "$cache/debootstrap.log"; exit 1; }
	tar -C "$root" -cf "$cache/$suite.tar.new" . && mv "$cache/$suite.tar.new" "$cache/$suite.tar"
else
	tar -C "$root" -xf "$cache/$suite.tar"
	chmod 755 "$root"
fi
mount -t proc proc "$root/proc" 2>/dev/null || echo "no /proc in the chroot: running the daemon is tried without"
cp "$old" "$root/old.deb"
cp "$new" "$root/new.deb"

in_root() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"; }
said() { grep -q -- "$1" "$root/said" || { echo "expected '$1' in:"; cat "$root/said"; exit 1; }; }
mode() { in_root stat -c '%a %U %G' "$1"; }
expect() { [ "$1" = "$2" ] || { echo "expected '$2', got '$1' ($3)" >&2; exit 1; }; }
gone() { [ ! -e "$root/$1" ] || { echo "expected $1 to be gone:"; find "$root/$1" | head; exit 1; }; }

echo "== a first installation: the sample configuration has no model yet, and that is told"
in_root dpkg -i old.deb >"$root/said" 2>&1 || { cat "$root/said"; exit 1; }
said "expected an existing file, got /etc/tickover/truck.onnx"
said "systemctl enable --now tickover"
in_root tickover --version
expect "$(mode /etc/tickover)" "750 root tickover" /etc/tickover
expect "$(mode /etc/tickover/tickover.toml)" "640 root tickover" tickover.toml
expect "$(mode /var/lib/tickover)" "700 tickover tickover" /var/lib/tickover
expect "$(in_root getent passwd tickover | cut -d: -f6-)" "/var/lib/tickover:/usr/sbin/nologin" "the user"

echo "== with a model it checks, and runs as its user with the state for itself alone"
install -m 644 "$demo/truck.onnx" "$root/etc/tickover/truck.onnx"
cat >"$root/etc/tickover/tickover.toml" <<'END'
[broker]
host = "127.0.0.1"
port = 1
client_id = "truck-1"

[[inputs]]
topic = "trucks/truck-1/signals"
vehicle = "truck-1"

[[models]]
path = "/etc/tickover/truck.onnx"

[state]
folder = "/var/lib/tickover"
END
in_root tickover config check /etc/tickover/tickover.toml >"$root/said"
said "good"
as_daemon() { in_root setpriv --reuid tickover --regid tickover --init-groups "$@"; }
as_daemon timeout --signal TERM 4 tickover run --config /etc/tickover/tickover.toml >"$root/said" 2>&1 || [ $? = 124 ] || { cat "$root/said"; exit 1; }
said "started"
expect "$(mode /var/lib/tickover/tickover.sqlite)" "600 tickover tickover" "the store"

echo "== an upgrade keeps configuration and state, checks the one, and says what to do"
before=$(in_root sha256sum /etc/tickover/tickover.toml /var/lib/tickover/tickover.sqlite)
in_root dpkg -i --force-confold new.deb >"$root/said" 2>&1 || { cat "$root/said"; exit 1; }
said "tickover.toml: good"
expect "$(in_root sha256sum /etc/tickover/tickover.toml /var/lib/tickover/tickover.sqlite)" "$before" "configuration and state"
expect "$(mode /etc/tickover/tickover.toml)" "640 root tickover" tickover.toml
as_daemon timeout --signal TERM 4 tickover run --config /etc/tickover/tickover.toml >"$root/said" 2>&1 || [ $? = 124 ] || { cat "$root/said"; exit 1; }
said "started"

echo "== an upgrade with a configuration that is wrong is installed, and says so"
echo 'nonsense = true' >>"$root/etc/tickover/tickover.toml"
in_root dpkg -i --force-confold new.deb >"$root/said" 2>&1 || { cat "$root/said"; exit 1; }
said "is not ready"
said "nonsense"

echo "== removal keeps configuration and state; purge takes both"
in_root dpkg --remove tickover >"$root/said" 2>&1
gone usr/bin/tickover
gone opt/tickover
[ -e "$root/var/lib/tickover/tickover.sqlite" ] || { echo "removal took the state"; exit 1; }
[ -e "$root/etc/tickover/tickover.toml" ] || { echo "removal took the configuration"; exit 1; }
in_root dpkg --purge tickover >"$root/said" 2>&1
gone etc/tickover
gone var/lib/tickover
gone lib/systemd/system/tickover.service
expect "$(in_root dpkg -l | grep -c tickover || true)" 0 "dpkg's list"
echo "good"
