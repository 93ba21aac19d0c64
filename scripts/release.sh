#!/bin/sh
# release.sh: everything that has to hold before a version is published, one after the other; what is quick to fail comes
# first. What each step said is in dist/release/STEP.log, what it took in dist/release/steps. See docs/releasing.md.
#
#   SIGN_KEY=FINGERPRINT   signs with this key of gpg's. Without it this is a dry run: a throw-away key signs, and
#                          dist/ holds nothing afterwards that anybody would trust
#   KEYS="a.pgp b.pgp"     the certificates that the installed version will trust
#   STEPS="lint drill"     these alone
set -eu
cd "$(dirname "$0")/.."

log=$PWD/dist/release
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
mkdir -p "$log"
: >"$log/steps"

# step NAME COMMAND…: runs it, and stops at the first that fails.
step() {
	name=$1
	shift
	case " ${STEPS:-$name} " in *" $name "*) ;; *) return 0 ;; esac
	printf '%-12s ' "$name"
	began=$(date +%s)
	"$@" >"$log/$name.log" 2>&1 || {
		echo "FAILED after $(($(date +%s) - began)) s; the end of dist/release/$name.log:"
		tail -n 20 "$log/$name.log"
		exit 1
	}
	echo "$(($(date +%s) - began)) s"
	echo "$name $(($(date +%s) - began))" >>"$log/steps"
}

# The version stands in three places, and what is published is a commit.
versions() {
	[ -z "$(git status --porcelain --untracked-files=no)" ] || { echo "commit your changes first: a commit is published"; return 1; }
	[ "$(dpkg-parsechangelog -SVersion | sed 's/-[^-]*$//')" = "$version" ] || { echo "debian/changelog is of another version than $version"; return 1; }
	grep -q "^## \[$version\]" CHANGELOG.md || { echo "CHANGELOG.md says nothing of $version"; return 1; }
	[ -z "${SIGN_KEY:-}" ] || ! grep -q "^## \[$version\] - unreleased" CHANGELOG.md || { echo "CHANGELOG.md has no date for $version"; return 1; }
}
# What is signed is what passed: nobody has built something else into dist/ meanwhile.
noted() {
	sha256sum dist/*.deb >"$log/SHA256SUMS"
}
signed() {
	sha256sum --check --quiet "$log/SHA256SUMS" || { echo "dist/ is not what was tested"; return 1; }
	versions || return 1
	for deb in dist/*.deb; do
		dist/debseal sign --key "$key" "$deb" && dist/debseal verify --key "$log/release.pgp" "$deb" || return 1
	done
}

# What it consists of, as the tools see it today: two crates of another version are another bill.
supplied() {
	scripts/supply.sh && git diff --exit-code -- packaging/supply
}

# Whether the key signs shows now and not after an hour.
key=${SIGN_KEY:-}
if [ -z "$key" ]; then
	GNUPGHOME=$(mktemp -d /tmp/release.XXXXXX)
	export GNUPGHOME
	trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
	gpg --batch --quiet --passphrase '' --quick-gen-key 'Dry run <dry-run@example.invalid>' ed25519 sign 1d
	key=$(gpg --batch --with-colons --no-auto-check-trustdb --list-keys | sed -n 's/^fpr:::::::::\(.*\):$/\1/p' | head -1)
fi
gpg --batch --export "$key" >"$log/release.pgp"
usable() {
	echo test | gpg --batch --local-user "$key" --detach-sign >/dev/null
}

step versions versions
step key usable
step fmt cargo fmt --all --check
step clippy cargo clippy --locked --workspace --all-targets -- -D warnings
step doc env RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps
step deny scripts/deny.sh
step supply supplied
step deb scripts/build-deb.sh
step repro env AGAINST=dist scripts/repro.sh
step note noted
upgraded() {
	scripts/previous.sh && cargo test --locked --workspace --test previous \
		--config "target.x86_64-unknown-linux-gnu.runner=['$PWD/scripts/as-root.sh']" -- --ignored
}
step upgrade upgraded
step lint scripts/lint.sh
step test scripts/test.sh
step piuparts scripts/piuparts.sh
step autopkgtest scripts/autopkgtest.sh
step drill scripts/drill.sh --light --sample 2000
step signed-drill scripts/drill.sh --signed --flow upgrade --sample 30
step bench scripts/bench.sh
# Nothing is signed that has not passed all that. What is published is installed once more as it is.
step sign signed
step signed-lint scripts/lint.sh
step signed-install scripts/autopkgtest.sh
step repo scripts/repo.sh "$key"
if [ -n "${SIGN_KEY:-}" ]; then
	echo "dist/repo holds $version, signed: docs/releasing.md says how it is published"
else
	rm -rf dist/repo
	scripts/build-deb.sh >/dev/null 2>&1
	echo "a dry run of $version: all steps passed; nothing is signed"
fi
