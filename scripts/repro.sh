#!/bin/sh
# repro.sh: builds this commit twice, in two folders of other names and lengths, from nothing each time, and
# compares every package byte by byte. Signatures aside: none is made.
#
#   AGAINST=DIR   compares one build with the packages that lie there instead of building a second time
#   REPRO=DIR     where to build (default below target/)
set -eu
cd "$(dirname "$0")/.."

[ -z "$(git status --porcelain --untracked-files=no)" ] || { echo "repro.sh: commit your changes first: a commit is built" >&2; exit 2; }
work=${REPRO:-target/repro}
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR SIGN_KEY
KEYS=${KEYS-}
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export KEYS SOURCE_DATE_EPOCH

# build FOLDER OUT UMASK TZ: the packages of a clone in FOLDER, into OUT; what it took to build them goes.
build() {
	git clone --quiet --shared . "$work/$1"
	(cd "$work/$1" && umask "$3" && TZ=$4 scripts/build-deb.sh >/dev/null)
	mkdir -p "$2/examples"
	cp "$work/$1"/dist/*.deb "$2"
	cp "$work/$1"/dist/examples/*.deb "$2/examples"
	rm -rf "${work:?}/$1"
}
if [ -n "${AGAINST:-}" ]; then
	one=$AGAINST
else
	one=$work/one
	build a "$one" 022 UTC
fi
build 'another folder/of a longer name' "$work/two" 027 Asia/Kathmandu

code=0
for deb in "$work"/two/*.deb "$work"/two/examples/*.deb; do
	name=${deb#"$work"/two/}
	if cmp "$one/$name" "$deb"; then
		echo "same bytes: $name $(sha256sum <"$deb" | cut -c1-64)"
	else
		echo "repro.sh: $name differs; keep both and compare them with diffoscope" >&2
		code=1
	fi
done
exit $code
