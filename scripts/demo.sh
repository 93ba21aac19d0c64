#!/bin/sh
# demo.sh: the package's life on a throw-away machine; see tests/src/bin/demo.rs.
set -eu
cd "$(dirname "$0")/.."

# The same packages as build.sh, or cargo would build what they share again with other features.
scripts/cargo.sh build --locked --release -p debseal -p ctl -p service -p pages -p drill -p system-tests
exec scripts/as-root.sh "${CARGO_TARGET_DIR:-target}/release/demo"
