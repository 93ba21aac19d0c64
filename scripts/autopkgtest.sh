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
trap 'rm -rf --one-file-system "$work"' EXIT

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
	if [ -e "target/piuparts/$suite.tar.gz" ]; then
		tar -C "$root" -xzf "target/piuparts/$suite.tar.gz"
	else
		mmdebstrap --quiet --variant=minbase "$suite" "$root"
	fi
	cp -L /etc/resolv.conf "$root/etc/resolv.conf"
	mount -t proc proc "$root/proc"
	mount -t tmpfs tmpfs "$root/tmp"
	# 0: all passed; 2 and 8 are for tests that were skipped, which none here may be.
	autopkgtest --no-built-binaries dist/pve-network-rs_*.deb dist/debseal_*.deb "$work/source" -- chroot "$root"
	umount "$root/tmp" "$root/proc"
	rm -rf --one-file-system "$root"
done
