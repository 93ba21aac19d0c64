#!/bin/sh
# root-tarball.sh SUITE: prints the name of a tarball of a minimal Debian root, made now if it is not there.
# piuparts and autopkgtest begin from it.
set -eu
cd "$(dirname "$0")/.."

tarball=target/piuparts/$1.tar.gz
if ! [ -e "$tarball" ]; then
	mkdir -p "${tarball%/*}"
	scripts/own-mounts.sh mmdebstrap --quiet --variant=minbase "$1" "target/piuparts/new-$1.tar.gz" >&2
	mv "target/piuparts/new-$1.tar.gz" "$tarball"
fi
echo "$tarball"
