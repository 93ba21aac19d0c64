#!/bin/sh
# repo.sh FINGERPRINT [DEB…]: a signed flat apt repository in dist/repo of these packages (else of
# dist/*.deb), see sources.list(5). The key is used through gpg's agent; GNUPGHOME is honoured.
#
#   ORIGIN=NAME        what apt shows and pins by (default pve-network-rs)
#   REPO=DIR           where (default dist/repo)
set -eu

key=${1:?usage: repo.sh FINGERPRINT [DEB…]}
shift
repo=${REPO:-$(dirname "$0")/../dist/repo}
[ $# -gt 0 ] || set -- "$(dirname "$0")"/../dist/*.deb
new=$(mktemp -d "$(dirname "$repo")/.repo.XXXXXX")
trap 'rm -rf "$new"' EXIT
chmod 755 "$new"
for deb in "$@"; do
	[ -f "$deb" ] || { echo "repo.sh: no package $deb: run make deb" >&2; exit 1; }
	# By the name inside, as apt caches it: a colon of an epoch is no file name everywhere.
	# shellcheck disable=SC2016 # dpkg-deb's variables, not the shell's
	name=$(dpkg-deb --show --showformat '${Package}_${Version}_${Architecture}.deb' "$deb" | tr : %)
	[ ! -e "$new/$name" ] || { echo "repo.sh: $name is there twice" >&2; exit 1; }
	cp "$deb" "$new/$name"
done
cd "$new"
apt-ftparchive packages . >Packages
gzip -9nk Packages
origin=${ORIGIN:-pve-network-rs}
apt-ftparchive -o APT::FTPArchive::Release::Origin="$origin" -o APT::FTPArchive::Release::Label="$origin" \
	-o APT::FTPArchive::Release::Architectures=amd64 release . >.Release
mv .Release Release
gpg --batch --yes --local-user "$key" --output InRelease --clear-sign Release
gpg --batch --yes --local-user "$key" --output Release.gpg --armor --detach-sign Release
gpg --batch --export "$key" >key.pgp
cd - >/dev/null
# As a whole: what was published before is never seen half replaced for longer than two renames.
old=$repo.old
rm -rf "$old"
[ ! -e "$repo" ] || mv "$repo" "$old"
mv "$new" "$repo"
rm -rf "$old"
trap - EXIT
echo "deb [signed-by=/etc/apt/keyrings/$origin.pgp] file:$(cd "$repo" && pwd) ./"
