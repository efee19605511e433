#!/bin/sh
# build.sh WHEEL [OUT]: a Debian package of the wheel and the packages in requirements-device.txt, as a virtual environment
# in /opt/tickover. Prints its path. Needs dpkg-deb and a Python with pip ($PYTHON).
#   DEB_PYTHON   the target's Python (3.11: Debian 12; 3.13: Debian 13)
#   DEB_ARCH     the target's processor: amd64, arm64
#   DEB_VERSION  the package's version; the wheel's unless given
set -eu
here=$(cd "$(dirname "$0")" && pwd)
deploy=$(dirname "$here")
wheel=$1
out=${2:-dist}
python=${PYTHON:-python3}
release=${DEB_PYTHON:-3.11}
arch=${DEB_ARCH:-$(dpkg --print-architecture)}
version=${DEB_VERSION:-$(basename "$wheel" | cut -d- -f2)}
case $arch in
amd64) machine=x86_64 ;;
arm64) machine=aarch64 ;;
*) echo "DEB_ARCH: expected amd64 or arm64, got $arch" >&2; exit 2 ;;
esac

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
umask 022
chmod 755 "$root"
home=$root/opt/tickover
site=$home/lib/python$release/site-packages
mkdir -p "$site" "$home/bin" "$root/DEBIAN"

# The packages are those of the target's Python and processor, whatever this machine has. The wheel is ours: no hash.
platforms=""
for glibc in 2_17 2_24 2_27 2_28 2_34 2_35 2_36; do platforms="$platforms --platform manylinux_${glibc}_$machine"; done
# shellcheck disable=SC2086
"$python" -m pip install --quiet --disable-pip-version-check --no-compile --target "$site" --only-binary :all: \
	--python-version "$release" --implementation cp $platforms --platform "manylinux2014_$machine" \
	--no-deps --require-hashes --requirement "$deploy/requirements-device.txt"
"$python" -m pip install --quiet --disable-pip-version-check --no-compile --target "$site" --no-deps --upgrade "$wheel"
rm -rf "$site/bin"

# What `python3 -m venv --without-pip` makes, with the paths of the target.
ln -s "/usr/bin/python$release" "$home/bin/python$release"
ln -s "python$release" "$home/bin/python3"
ln -s python3 "$home/bin/python"
printf 'home = /usr/bin\ninclude-system-site-packages = false\nversion = %s\n' "$release" >"$home/pyvenv.cfg"
cat >"$home/bin/tickover" <<'END'
#!/opt/tickover/bin/python
import sys

from tickover.cli import main

sys.exit(main())
END
chmod 755 "$home/bin/tickover"

put() { install -D -m 644 "$1" "$root/$2"; }
put "$deploy/tickover.service" lib/systemd/system/tickover.service
put "$deploy/tickover.sysusers" usr/lib/sysusers.d/tickover.conf
put "$deploy/tickover.toml" etc/tickover/tickover.toml
put "$deploy/../LICENSE" usr/share/doc/tickover/copyright
put "$deploy/../CHANGELOG.md" usr/share/doc/tickover/changelog
gzip -9n "$root/usr/share/doc/tickover/changelog"
put "$deploy/requirements-device.txt" usr/share/doc/tickover/requirements-device.txt
for file in "$deploy"/mosquitto/*; do put "$file" "usr/share/doc/tickover/mosquitto/$(basename "$file")"; done
chmod 755 "$root/usr/share/doc/tickover/mosquitto/make-certs.sh"
mkdir -p "$root/usr/bin"
ln -s /opt/tickover/bin/tickover "$root/usr/bin/tickover"

echo /etc/tickover/tickover.toml >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 755 "$here/$script" "$root/DEBIAN/$script"; done
cat >"$root/DEBIAN/control" <<END
Package: tickover
Version: $version
Architecture: $arch
Maintainer: the tickover authors <tickover@example.org>
Installed-Size: $(du -sk --exclude DEBIAN "$root" | cut -f1)
Depends: python$release, libstdc++6, systemd | systemd-standalone-sysusers | opensysusers
Recommends: systemd
Suggests: mosquitto
Section: net
Priority: optional
Description: edge streaming anomaly detector for delivery trucks
 Reads sensors from MQTT, runs a recurrent autoencoder in constant memory, and
 publishes alerts. The daemon is not started before its configuration is.
END
mkdir -p "$out"
dpkg-deb --root-owner-group -Zxz -z1 --build "$root" "$out/tickover_${version}_$arch.deb" >/dev/null
echo "$out/tickover_${version}_$arch.deb"
