#!/bin/sh
# deny.sh: cargo-deny over what is linked (deny.toml): licences, advisories, duplicates, origins. Installed below target/
# by cargo, from crates.io, if the machine has none.
#
#   ADVISORIES=DIR   a clone of github.com/rustsec/advisory-db, where that can't be reached. ADVISORIES=none leaves
#                    advisories out, and says so
set -eu
cd "$(dirname "$0")/.."

tools=${CARGO_TARGET_DIR:-$PWD/target}/tools
PATH=$tools/bin:$PATH
command -v cargo-deny >/dev/null || {
	echo "deny.sh: installing cargo-deny from crates.io, below target/" >&2
	cargo install --quiet --locked --root "$tools" --target-dir "$tools/build" cargo-deny
	rm -rf "$tools/build"
}
case ${ADVISORIES:-} in
none)
	echo "deny.sh: advisories are left out: nobody has looked whether a crate has a known hole" >&2
	exec cargo deny --locked --all-features check licenses bans sources
	;;
?*)
	# cargo-deny clones by git, which can be told where from.
	cd "$ADVISORIES" && url=file://$PWD && cd - >/dev/null
	export GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0="url.$url.insteadOf" \
		GIT_CONFIG_VALUE_0=https://github.com/RustSec/advisory-db GIT_CONFIG_KEY_1=safe.directory GIT_CONFIG_VALUE_1='*'
	home=$(mktemp -d)
	trap 'rm -rf "$home"' EXIT
	sed "s|^\[advisories\]|&\ngit-fetch-with-cli = true\ndb-path = \"$home\"|" deny.toml >"$home/deny.toml"
	cargo deny --locked --all-features --config "$home/deny.toml" check
	;;
*) exec cargo deny --locked --all-features check ;;
esac
