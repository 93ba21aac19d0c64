#!/bin/sh
# previous.sh: target/previous/pve-network-rs.deb, the package of the release before, and target/previous/rust-write, by
# which a test writes as that release does; built from the commit that packaging/previous-release names, in a clone of its
# own. What is there already stays, unless that file changed.
#
# The bytes have to be those that the file names: they depend on nothing but the commit and the toolchain, and where the
# toolchain is another one, that they were not compared is said. A package that has this version's number is sealed once
# more under a lower one, NUMBER~prev, by the programs that the clone built: its payload and its scripts are the same.
set -eu
cd "$(dirname "$0")/.."

umask 022
named=packaging/previous-release
of() { sed -n "s/^$1 //p" "$named"; }
commit=$(of commit)
out=${CARGO_TARGET_DIR:-$PWD/target}/previous
deb=$out/pve-network-rs.deb
# How it is made counts as well.
made_of=$(cat "$named" scripts/previous.sh debian/changelog | sha256sum | cut -c1-64)
if [ -e "$deb" ] && [ "$(cat "$out/made-of" 2>/dev/null)" = "$made_of" ]; then
	echo "$deb is there: $(dpkg-deb --field "$deb" Version) of $commit"
	exit 0
fi
git cat-file -e "$commit^{commit}" 2>/dev/null || {
	echo "previous.sh: commit $commit, which $named names, is not in this clone: git fetch --unshallow" >&2
	exit 1
}

tree=$out/tree
mkdir -p "$out"
rm -f "$deb" "$out/made-of"
# What it compiled is kept: another commit needs most of it again.
if [ -e "$tree/.git" ] && git -C "$tree" fetch --quiet origin; then :; else
	rm -rf "$tree"
	git clone --quiet --shared --no-checkout . "$tree"
fi
git -C "$tree" checkout --quiet --force --detach "$commit"
mkdir -p "$tree/target" target/tools
[ -e "$tree/target/tools" ] || ln -s "$PWD/target/tools" "$tree/target/tools"
(unset CARGO_TARGET_DIR SIGN_KEY SOURCE_DATE_EPOCH && cd "$tree" && KEYS='' scripts/build-deb.sh)

for built in "$tree"/dist/pve-network-rs_*_amd64.deb; do :; done
sum=$(sha256sum <"$built" | cut -c1-64)
if [ "$(rustc --version)" != "rustc $(of rustc)" ]; then
	echo "previous.sh: not compared with the SHA-256 in $named: built by $(rustc --version), that by rustc $(of rustc)" >&2
elif [ "$sum" != "$(of sha256)" ]; then
	echo "previous.sh: $built has the SHA-256 $sum, $named names $(of sha256)" >&2
	exit 1
fi

(unset CARGO_TARGET_DIR && cd "$tree" && scripts/cargo.sh build --locked --release -p system-tests --bin rust-write)
cp "$tree/target/release/rust-write" "$out/rust-write"

new=$out/.new.deb
version=$(dpkg-deb --field "$built" Version)
if dpkg --compare-versions "$version" lt "$(dpkg-parsechangelog -SVersion)"; then
	cp "$built" "$new"
else
	stage=$(mktemp -d)
	trap 'rm -rf "$stage"' EXIT
	chmod 755 "$stage"
	dpkg-deb --raw-extract "$tree/target/payload.deb" "$stage/root"
	sed -i "s/^Version: .*/Version: $version~prev/" "$stage/root/DEBIAN/control"
	dpkg-deb --root-owner-group -Znone --build "$stage/root" "$stage/payload.deb" >/dev/null
	"$tree/dist/debseal" seal --hooks "$tree/debian/hooks.toml" --hook-elf "$tree/dist/maintscript-hook" \
		--output "$new" "$stage/payload.deb"
fi
mv "$new" "$deb"
echo "$made_of" >"$out/made-of"
echo "$deb: $(dpkg-deb --field "$deb" Version) of $commit"
