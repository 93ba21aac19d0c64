#!/bin/sh
# test.sh ARGUMENT…: cargo test of the whole workspace; tests that need root get it.
set -eu
cd "$(dirname "$0")/.."

if [ "$(id -u)" -eq 0 ] || ! command -v sudo >/dev/null; then
	exec cargo test --locked --workspace "$@"
fi
cargo test --locked --workspace --exclude system-tests "$@"
exec cargo test --locked -p system-tests \
	--config "target.x86_64-unknown-linux-gnu.runner=['$PWD/scripts/as-root.sh']" "$@"
