#!/bin/sh
# programs.sh [CARGO OPTION…]: the programs, in release mode. Always all of them, whoever asks: with fewer, cargo would
# build what they share again with other features.
set -eu
cd "$(dirname "$0")/.."

exec scripts/cargo.sh build --locked --release \
	-p debseal -p ctl -p canary -p network -p contract -p service -p pages -p drill "$@"
