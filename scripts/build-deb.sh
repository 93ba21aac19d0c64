#!/bin/sh
# build-deb.sh: dist/pve-network-rs_<version>_amd64.deb, dist/debseal_<version>_amd64.deb; the toolkit:
# dist/debseal, dist/debseal-drill and its page, dist/maintscript-hook; and the example made with it,
# dist/examples/*.deb.
#
#   KEYS="a.pgp b.pgp"   certificates to seal in, instead of debian/keys/*.pgp (none here)
#   SIGN_KEY=FINGERPRINT signs with this key of gpg's
set -eu
cd "$(dirname "$0")/.."

# Whoever builds: dpkg-deb takes no control folder that others can't read, and modes are part of what is compared.
umask 022
target=${CARGO_TARGET_DIR:-target}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

scripts/build.sh
mkdir -p dist
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

if [ -z "${KEYS+set}" ]; then
	set -- debian/keys/*.pgp
	[ -e "$1" ] || shift
else
	# shellcheck disable=SC2086 # a list of files, meant to be split
	set -- $KEYS
fi
for key in "$@"; do
	shift
	set -- "$@" --key "$key"
done

# Who builds it again needs to know from what. A tree with changes of its own is no commit.
toolchain=$(rustc --version)
if commit=$(git rev-parse HEAD 2>/dev/null); then
	[ -z "$(git status --porcelain --untracked-files=no)" ] || commit=$commit+changes
	set -- --provenance "commit=$commit" "$@"
fi
set -- --provenance "toolchain=$toolchain" "$@"

# package CRATE PAYLOAD HOOKS [OPTION…]: its sealed package in $stage. The payload stays: tests seal it
# in ways of their own.
package() {
	scripts/cargo-deb.sh --package "$1" --no-build --no-strip --locked --output "$target/$2"
	payload=$target/$2 hooks=$3
	shift 3
	# shellcheck disable=SC2016 # dpkg-deb's variables, not the shell's
	name=$(dpkg-deb --show --showformat '${Package}_${Version}_${Architecture}.deb' "$payload")
	"$target/release/debseal" seal --hooks "$hooks" \
		--hook-elf "$target/x86_64-unknown-linux-gnu/hook/maintscript-hook" "$@" \
		--output "$stage/$name" "$payload"
}
package ctl payload.deb debian/hooks.toml "$@"
package debseal debseal-payload.deb packaging/debseal/hooks.toml "$@"
[ -z "${SIGN_KEY:-}" ] || "$target/release/debseal" sign --key "$SIGN_KEY" "$stage"/*.deb

# Last, and by rename: a package that lies in dist/ is complete.
rm -f dist/*.deb dist/examples/*.deb
install -m 755 "$target/release/debseal" "$target/release/debseal-drill" \
	"$target/x86_64-unknown-linux-gnu/hook/maintscript-hook" dist
install -m 644 dist/pages/debseal-drill/man1/debseal-drill.1 dist
examples/chrony-site/build.sh dist/examples
for deb in "$stage"/*.deb; do
	name=${deb##*/}
	cp "$deb" "dist/.$name"
	mv "dist/.$name" "dist/$name"
	echo "dist/$name"
done
