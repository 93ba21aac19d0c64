#!/bin/sh
# hook-deps.sh [--update]: compares what the maintainer script is linked from with the committed
# list. It runs as root on machines that others depend on: every crate in it is there on purpose.
set -eu
cd "$(dirname "$0")/.."

list=debian/hook-dependencies.txt
# The C library itself (crate libc) is static in it; other C libraries may not be. linux-raw-sys is
# no library but the kernel's numbers, in Rust.
forbidden='^(clap|clap_.*|tokio|tokio-.*|cc|pkg-config|bindgen|openssl|gpgme|.*-sys|.*-src)$'

tree=$(cargo tree --locked -p hooks -e normal,no-proc-macro --target x86_64-unknown-linux-gnu --prefix none -f '{p}')
now=$(printf '%s\n' "$tree" | cut -d ' ' -f 1 | sort -u)

# What build scripts of the linked crates use counts as well: that is how C gets in.
built=$(cargo tree --locked -p hooks -e normal,build --target x86_64-unknown-linux-gnu --prefix none -f '{p}')
if bad=$(printf '%s\n' "$built" | cut -d ' ' -f 1 | sort -u | grep -Ex "$forbidden" | grep -vx linux-raw-sys); then
	printf 'the maintainer script must not be built with: %s\n' "$bad" >&2
	exit 1
fi
if [ "${1:-}" = --update ]; then
	printf '%s\n' "$now" >"$list"
elif ! printf '%s\n' "$now" | diff -u "$list" -; then
	echo "the maintainer script's dependencies have changed: if that is meant, run scripts/hook-deps.sh --update" >&2
	exit 1
fi
