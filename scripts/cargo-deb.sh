#!/bin/sh
# cargo-deb.sh ARGUMENT…: runs the pinned cargo-deb, built once into target/tools.
set -eu

version=3.8.0
tools=$(dirname "$0")/../target/tools
bin=$tools/bin/cargo-deb
if ! [ -x "$bin" ] || [ "$("$bin" --version)" != "cargo-deb $version" ]; then
	# A debug build without features takes well under half of a release build's time and needs no
	# liblzma, since it calls xz; and what takes time in it is xz.
	CARGO_PROFILE_DEV_DEBUG=0 cargo install cargo-deb --quiet --locked --version "$version" \
		--debug --no-default-features --root "$tools" --target-dir "$tools/build" >&2
	rm -rf "$tools/build"
fi
exec "$bin" "$@"
