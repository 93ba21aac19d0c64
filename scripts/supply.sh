#!/bin/sh
# supply.sh [NAME…]: of what each package's programs consist, into packaging/supply/: NAME.cdx.json, a CycloneDX bill of
# materials by cargo-cyclonedx, and NAME.licences.txt, the terms of every crate that is linked, by cargo-about. Both are
# committed: a build needs neither tool, and who reviews a new dependency sees its licence in the diff. That they are
# what Cargo.lock says is a test (tests/tests/supply.rs).
#
# The tools are installed below target/ by cargo, from crates.io.
set -eu
cd "$(dirname "$0")/.."

tools=${CARGO_TARGET_DIR:-$PWD/target}/tools
PATH=$tools/bin:$PATH
export PATH
# tool NAME VERSION [OPTION…]
tool() {
	name=$1 version=$2
	shift 2
	! grep -q "\"$name $version " "$tools/.crates.toml" 2>/dev/null || return 0
	echo "supply.sh: installing $name $version from crates.io, below target/" >&2
	cargo install --quiet --locked --version "$version" --root "$tools" \
		--target-dir "$tools/build" "$@" "$name" >&2
	rm -rf "$tools/build"
}
tool cargo-cyclonedx 0.5.9
# Optimised: it compares each crate's files with every licence there is.
tool cargo-about 0.9.3 --features cli

host=x86_64-unknown-linux-gnu
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
out=$PWD/packaging/supply
mkdir -p "$out"
work=target/supply
rm -rf "$work"
trap 'rm -rf "$work"' EXIT
export SOURCE_DATE_EPOCH=0

# supply NAME CRATE…: a package that has these crates, and nothing of its own.
supply() {
	name=$1
	shift
	crate=$work/$name
	mkdir -p "$crate/src"
	: >"$crate/src/lib.rs"
	{
		printf '[package]\nname = "%s-deb"\nversion = "%s"\nedition = "2024"\nlicense = "AGPL-3.0-or-later"\npublish = false\n' "$name" "$version"
		printf '\n[workspace]\n\n[dependencies]\n'
		for dependency in "$@"; do
			printf '%s = { path = "%s" }\n' "$dependency" "$PWD/src/$dependency"
		done
	} >"$crate/Cargo.toml"
	cp Cargo.lock "$crate"
	(cd "$crate" && cargo metadata --format-version 1 --filter-platform "$host" >/dev/null)
	(cd "$crate" && cargo cyclonedx --quiet --format json --target "$host" \
		--override-filename sbom --spec-version 1.5)
	sed "s|$PWD/|./|g; s|$work/||g" "$crate/sbom.json" >"$out/$name.cdx.json"
	(cd "$crate" && cargo about -L error generate --frozen --config "$OLDPWD/packaging/supply/about.toml" \
		"$OLDPWD/packaging/supply/about.hbs") >"$out/$name.licences.txt"
}
supply pve-network-rs canary contract ctl maintscript network service
supply debseal debseal maintscript
