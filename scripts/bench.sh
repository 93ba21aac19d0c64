#!/bin/sh
# bench.sh [PART…]: our package against the same payload without scripts and with scripts in bash; our
# snapshots against cp, rsync, tar and etckeeper; our middleware against nginx. See tests/src/bin/bench/.
set -eu
cd "$(dirname "$0")/.."

scripts/programs.sh -p system-tests
exec scripts/as-root.sh "${CARGO_TARGET_DIR:-target}/release/bench" "$@"
