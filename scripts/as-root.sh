#!/bin/sh
# as-root.sh COMMAND…: runs it as root, through sudo if need be.
#
# sudo drops the environment, and `sudo -E` is often forbidden: what builds and tests need of it is
# handed over by name. Serves as cargo's test runner as well, so that only the tests run as root
# and nothing under target/ ends up owned by it.
set -eu

[ "$(id -u)" -ne 0 ] || exec "$@"
command -v sudo >/dev/null || {
	echo "as-root.sh: '$1' needs root, and there is no sudo: become root first" >&2
	exit 1
}
for name in PATH TMPDIR DEBROOTS DEBIAN_FRONTEND SOURCE_DATE_EPOCH LD_LIBRARY_PATH \
	CARGO CARGO_MANIFEST_DIR CARGO_PKG_NAME CARGO_PKG_VERSION CARGO_TARGET_DIR CARGO_TARGET_TMPDIR \
	RUSTDOC_DOCTEST_BIN_PATH RUSTDOC_DOCTEST_RUN_NB_TEST RUST_BACKTRACE RUST_TEST_THREADS PROPTEST_CASES LOOK \
	INTERLEAVED_SEED INTERLEAVED_ROUNDS LOAD_SECONDS http_proxy https_proxy no_proxy; do
	value=$(printenv "$name") || continue
	set -- "$name=$value" "$@"
done
exec sudo env "$@"
