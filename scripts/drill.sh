#!/bin/sh
# drill.sh [--signed] [OPTION…]: the fault drill of dist/pve-network-rs_*.deb, see debseal-drill --help. With options just
# that run; --signed, first of all, has a throw-away key sign it and a version just below, each sealed with its certificate,
# so that scripts judge a signature and are themselves judged by one. Without: every point on Debian 12, a sample on Debian
# 13, all of a cluster's, and power cuts on three file systems; the counts are in dist/drill.json, drill-trixie.json,
# drill-cluster.json and drill-power.json there. Programs are cut but in a cluster, where one of them is run: dpkg's
# unpacking them is most of a run. So they are in CI (.ci/run).
set -eu
cd "$(dirname "$0")/.."

DEBROOTS=${DEBROOTS:-${CARGO_TARGET_DIR:-$PWD/target}/roots}
export DEBROOTS
for deb in dist/pve-network-rs_*.deb; do
	[ -e "$deb" ] || { echo "drill.sh: no package in dist/: run make deb" >&2; exit 1; }
done
if [ "${1:-}" = --signed ]; then
	shift
	umask 022 # dpkg-deb takes no control folder that others can't read
	work=$(mktemp -d /tmp/drill.XXXXXX)
	export GNUPGHOME="$work/gpg"
	trap 'gpgconf --kill all; rm -rf "$work"' EXIT
	mkdir -m 700 "$GNUPGHOME"
	gpg --batch --quiet --passphrase '' --quick-gen-key 'Drill <drill@example.invalid>' ed25519 sign 1d
	key=$(gpg --batch --with-colons --no-auto-check-trustdb --list-keys | sed -n 's/^fpr:::::::::\(.*\):$/\1/p' | head -1)
	gpg --batch --export "$key" >"$work/drill.pgp"
	chmod 755 "$work"
	payload=${CARGO_TARGET_DIR:-target}/payload.deb
	version=$(dpkg-deb --field "$payload" Version)
	for is in new old; do
		dpkg-deb --raw-extract "$payload" "$work/$is"
		[ $is = new ] || sed -i "s/^Version: .*/Version: $version~drill/" "$work/old/DEBIAN/control"
		dpkg-deb --root-owner-group -Znone --build "$work/$is" "$work/payload.deb" >/dev/null
		dist/debseal seal --hooks debian/hooks.toml --hook-elf dist/maintscript-hook --key "$work/drill.pgp" \
			--output "$work/$is.deb" "$work/payload.deb"
		dist/debseal sign --key "$key" "$work/$is.deb"
	done
	scripts/as-root.sh dist/debseal-drill "$work/new.deb" --old "$work/old.deb" "$@"
	exit
fi
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
