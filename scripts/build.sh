#!/bin/sh
# build.sh: builds what the package ships: the programs, the maintainer script, man pages.
set -eu
cd "$(dirname "$0")/.."

# Alone: in one run with the rest, their features would leak into the maintainer script. An explicit
# target lets crt-static apply to it without breaking build scripts and procedural macros. One
# backend of curve25519-dalek is enough where a signature is verified once: docs/decisions/0010. The
# linker joins strings that end alike, and leaves out an id that a sealed program has no use for.
CARGO_EXTRA_FLAG='-Ctarget-feature=+crt-static --cfg=curve25519_dalek_backend="serial" -Clink-arg=-Wl,-O2,--build-id=none' \
	scripts/cargo.sh build --locked --profile hook -p hooks --target x86_64-unknown-linux-gnu
scripts/cargo.sh build --locked --release -p debseal -p ctl -p canary -p network -p contract -p service -p pages -p drill
rm -rf dist/pages
scripts/cargo.sh run --locked --release --quiet -p pages -- dist/pages
