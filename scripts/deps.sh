#!/bin/sh
# deps.sh GROUP…: installs the Debian packages that are missing, says which and why.
# Groups: build, test, demo, drill, repo, autopkgtest, fuzz, perl. Does nothing, and needs no root, when everything is there.
set -eu

packages() {
	cat <<-'LIST'
		build ca-certificates cargo fetches crates over https
		build gcc             links Rust programs
		build libc6-dev       the C library, static for the maintainer scripts
		build pkg-config      finds libgpgme
		build libgpgme-dev    debseal signs through gpg's agent
		build dpkg-dev        finds out which libraries a package depends on
		build xz-utils        compresses packages
		build patch           applies what migration-ctl snapshot diff prints, in a test
		test,demo,drill mmdebstrap      makes the Debian roots that tests run in
		test,demo,drill mount           mounts what the tests' machines consist of
		test,demo,repo,drill gnupg      throw-away keys, and signatures of repositories
		test  gpgv            a second opinion on signatures
		test  binutils        ar, by which others take packages apart
		test  debsig-verify   Debian's own verifier of signed packages
		test,repo apt-utils       indexes an apt repository
		test  debsigs         Debian's own signer of packages
		test  lintian         checks packages against Debian Policy
		test  piuparts        finds what packages leave behind
		test,demo procps          kill, to end services as systemd does
		test  rsync           makes the backups by hand that must be restorable
		test  etckeeper       a peer in the bench
		test  git             what etckeeper commits with
		test  libjson-perl    how long Perl takes to begin, in the bench
		test  attr            shows extended attributes
		test  shellcheck      checks scripts
		test  zstd            a second opinion on the diagnostics bundle
		autopkgtest autopkgtest   runs debian/tests in clean roots
		autopkgtest mmdebstrap      makes those roots
		fuzz  g++             builds libFuzzer
		perl  perl            runs Proxmox's own reader and writer
		perl  git             fetches them
		drill e2fsprogs       a disk whose power is cut, with ext4
		drill xfsprogs        the same with XFS
		drill btrfs-progs     the same with Btrfs
	LIST
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
for group in "$@"; do
	while read -r of package reason; do
		case ",$of," in *",$group,"*) ;; *) continue ;; esac
		! installed "$package" || continue
		echo "installing $package: $reason" >&2
		missing="$missing $package"
	done <<-LIST
		$(packages)
	LIST
done
[ -n "$missing" ] || exit 0

export DEBIAN_FRONTEND=noninteractive
as_root=$(dirname "$0")/as-root.sh
"$as_root" apt-get -qq update
# shellcheck disable=SC2086 # a list of package names, meant to be split
"$as_root" apt-get -qq -y --no-install-recommends install $missing >&2
