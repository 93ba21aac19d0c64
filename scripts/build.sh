#!/bin/sh
# build.sh: builds what the package ships: the programs, the maintainer script, man pages.
set -eu
cd "$(dirname "$0")/.."

# Where it was built must not show in what was built. Encoded, since paths may hold spaces.
flags() {
	for flag in "--remap-path-prefix=$PWD=." "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo" "$@"; do
		printf '%s\037' "$flag"
	done
}
last() { printf %s "${1%?}"; }

# Alone: in one run with the rest, their features would leak into the maintainer script. An explicit
# target lets crt-static apply to it without breaking build scripts and procedural macros.
CARGO_ENCODED_RUSTFLAGS=$(last "$(flags -Ctarget-feature=+crt-static)") \
	cargo build --locked --profile hook -p hooks --target x86_64-unknown-linux-gnu

CARGO_ENCODED_RUSTFLAGS=$(last "$(flags)")
export CARGO_ENCODED_RUSTFLAGS
cargo build --locked --release -p debseal -p ctl -p service -p pages
rm -rf dist/pages
cargo run --locked --release --quiet -p pages -- dist/pages
