#!/bin/sh
# bench.sh [PART…]: our package against the same payload without scripts and with scripts in bash; our
# snapshots against cp, rsync, tar and etckeeper; our middleware against nginx. See tests/src/bin/bench/.
set -eu
cd "$(dirname "$0")/.."

# The same packages as build.sh, or cargo would build what they share again with other features.
scripts/cargo.sh build --locked --release -p debseal -p ctl -p service -p pages -p drill -p system-tests
exec scripts/as-root.sh "${CARGO_TARGET_DIR:-target}/release/bench" "$@"
