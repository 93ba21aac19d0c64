#!/bin/sh
# drill.sh [OPTION…]: the fault drill of dist/pve-network-rs_*.deb, see debseal-drill --help. With options just that
# run. Without: every point on Debian 12, a sample on Debian 13, all of a cluster's, and power cuts on three file
# systems; the counts are in dist/drill.json, drill-trixie.json, drill-cluster.json and drill-power.json there. Programs
# are cut but in a cluster, where one of them is run: dpkg's unpacking them is most of a run. So they are in CI (.ci/run).
set -eu
cd "$(dirname "$0")/.."

DEBROOTS=${DEBROOTS:-${CARGO_TARGET_DIR:-$PWD/target}/roots}
export DEBROOTS
for deb in dist/pve-network-rs_*.deb; do
	[ -e "$deb" ] || { echo "drill.sh: no package in dist/: run make deb" >&2; exit 1; }
done
if [ $# -gt 0 ]; then
	exec scripts/as-root.sh dist/debseal-drill "$deb" "$@"
fi
failed=0
run() {
	name=$1
	shift
	scripts/as-root.sh dist/debseal-drill "$deb" --output json --junit "dist/$name.xml" "$@" >"dist/.$name.json" || failed=1
	mv "dist/.$name.json" "dist/$name.json"
	# A word for who watches; the rest is in the file.
	grep -E '^  "(runs|fired|distinct|seconds)"' "dist/$name.json" | tr -d '\n' && echo " in dist/$name.json"
}
run drill --light
run drill-trixie --light --suite trixie --sample 3000
run drill-cluster --cluster
run drill-power --light --power ext4 --power xfs --power btrfs --sample 1500
exit "$failed"
