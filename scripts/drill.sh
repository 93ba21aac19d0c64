#!/bin/sh
# drill.sh [OPTION…]: the fault drill of dist/*.deb, see debseal-drill(1). Without an option every
# point on Debian 12 and a sample on Debian 13; with options just those. dist/drill.json holds the
# counts of the runs on Debian 12.
set -eu
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
DEBROOTS=${DEBROOTS:-$PWD/$target/roots}
export DEBROOTS
# A glob, and exactly one package.
set -- dist/pve-network-rs_*.deb "$@"
[ -e "$1" ] || { echo "drill.sh: no package in dist/: run make deb" >&2; exit 1; }
if [ $# -gt 1 ]; then
	exec scripts/as-root.sh dist/debseal-drill "$@"
fi
failed=0
scripts/as-root.sh dist/debseal-drill --output json --junit dist/drill.xml "$1" >dist/.drill.json || failed=1
mv dist/.drill.json dist/drill.json
scripts/as-root.sh dist/debseal-drill --suite trixie --sample 3000 "$1" || failed=1
exit "$failed"
