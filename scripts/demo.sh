#!/bin/sh
# demo.sh: the package's life on a throw-away machine; see tests/src/bin/demo.rs.
set -eu
cd "$(dirname "$0")/.."

scripts/programs.sh -p system-tests
exec scripts/as-root.sh "${CARGO_TARGET_DIR:-target}/release/demo"
