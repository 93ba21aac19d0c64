#!/bin/sh
# autopkgtest.sh: debian/tests/ against dist/*.deb, each in a Debian root of its own (autopkgtest(1), its
# chroot runner, so that no virtual machine is needed).
#
#   SUITES="bookworm trixie"
set -eu
cd "$(dirname "$0")/.."

if [ "$(id -u)" -ne 0 ]; then
	exec scripts/as-root.sh "$0" "$@"
fi
# Its own mounts: what is mounted in the roots goes with this process.
[ -n "${OWN_MOUNTS:-}" ] || OWN_MOUNTS=1 exec scripts/own-mounts.sh "$0" "$@"
work=$(mktemp -d)
trap 'umount -q "$work/root/dev/pts" "$work/root/proc" 2>/dev/null || true; rm -rf --one-file-system "$work"' EXIT

# What autopkgtest takes for a source package: the tests, and what it reads besides.
mkdir -p "$work/source/debian"
cp -r debian/tests debian/changelog debian/copyright "$work/source/debian"
cat >"$work/source/debian/control" <<'CONTROL'
Source: pve-network-rs
Maintainer: pve-network-rs maintainers <maintainers@example.org>

Package: pve-network-rs
Architecture: amd64
Description: see dist/
CONTROL

for suite in ${SUITES:-bookworm trixie}; do
	root=$work/root
	mkdir "$root"
	tar -C "$root" -xzf "$(scripts/root-tarball.sh "$suite")"
	cp -L /etc/resolv.conf "$root/etc/resolv.conf"
	mount -t proc proc "$root/proc"
	mount -t devpts devpts "$root/dev/pts"
	# 0: all passed; 2 and 8 are for tests that were skipped, which none here may be.
	autopkgtest --quiet --apt-upgrade --no-built-binaries dist/pve-network-rs_*.deb dist/debseal_*.deb "$work/source" -- chroot "$root"
	umount "$root/dev/pts" "$root/proc"
	rm -rf --one-file-system "$root"
done
