#!/bin/sh
# build-deb.sh: dist/pve-network-rs_<version>_amd64.deb; the toolkit: dist/debseal, dist/debseal-drill and its
# page, dist/maintscript-hook; and the example made with it, dist/examples/*.deb.
#
#   KEYS="a.pgp b.pgp"   certificates to seal in, instead of debian/keys/*.pgp
#   SIGN_KEY=FINGERPRINT signs with this key of gpg's
set -eu
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

scripts/build.sh
mkdir -p dist
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

# The payload stays: tests seal it in ways of their own.
scripts/cargo-deb.sh --package ctl --no-build --no-strip --locked --output "$target/payload.deb"
# shellcheck disable=SC2016 # dpkg-deb's variables, not the shell's
name=$(dpkg-deb --show --showformat '${Package}_${Version}_${Architecture}.deb' "$target/payload.deb")
rm -f dist/*.deb

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
"$target/release/debseal" seal --hooks debian/hooks.toml \
	--hook-elf "$target/x86_64-unknown-linux-gnu/hook/maintscript-hook" "$@" \
	--output "$stage/$name" "$target/payload.deb"
[ -z "${SIGN_KEY:-}" ] || "$target/release/debseal" sign --key "$SIGN_KEY" "$stage/$name"

# Last, and by rename: a package that lies in dist/ is complete.
install -m 755 "$target/release/debseal" "$target/release/debseal-drill" \
	"$target/x86_64-unknown-linux-gnu/hook/maintscript-hook" dist
install -m 644 dist/pages/debseal-drill/man1/debseal-drill.1 dist
rm -f dist/examples/*.deb
examples/chrony-site/build.sh dist/examples
cp "$stage/$name" "dist/.$name"
mv "dist/.$name" "dist/$name"
echo "dist/$name"
