#!/bin/sh
# cargo.sh ARGUMENT…: cargo with the flags of what ships. CARGO_EXTRA_FLAG adds one.
#
# Where it was built must not show in what was built. All release builds go through here: with
# other flags cargo would build everything again.
set -eu

last() { printf %s "${1%?}"; }
flags() {
	# Encoded, since paths may hold spaces.
	for flag in "--remap-path-prefix=$PWD=." "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo" "$@"; do
		printf '%s\037' "$flag"
	done
}
# shellcheck disable=SC2086 # unset means no argument
CARGO_ENCODED_RUSTFLAGS=$(last "$(flags ${CARGO_EXTRA_FLAG:-})")
export CARGO_ENCODED_RUSTFLAGS
unset CARGO_EXTRA_FLAG
exec cargo "$@"
