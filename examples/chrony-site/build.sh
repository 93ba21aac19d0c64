#!/bin/sh
# build.sh OUTDIR [VERSION]: OUTDIR/chrony-site_VERSION_amd64.deb, sealed. Nothing but dpkg-deb and debseal.
#
#   DEBSEAL, HOOK   the program debseal and the published hook (default: debseal and maintscript-hook in
#                   the folder that OUTDIR lies in)
#   KEY             a certificate whose signatures the installed version shall trust
set -eu
umask 022 # whoever builds: dpkg-deb takes no control folder that others can't read
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
version=${2:-1.0-1}
debseal=${DEBSEAL:-${out%/*}/debseal}
hook=${HOOK:-${out%/*}/maintscript-hook}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1795000000}
export SOURCE_DATE_EPOCH

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
put() { install -D -m "$1" "$here/$2" "$tree/$3"; }

# The payload.
put 644 site.sources etc/chrony/sources.d/site.sources
put 755 check usr/lib/chrony-site/check
put 644 chrony-site-check.service usr/lib/systemd/system/chrony-site-check.service
put 644 chrony-site-check.timer usr/lib/systemd/system/chrony-site-check.timer
put 644 chrony-site.preset usr/lib/systemd/system-preset/50-chrony-site.preset
put 644 copyright usr/share/doc/chrony-site/copyright
put 644 lintian-overrides usr/share/lintian/overrides/chrony-site
printf 'chrony-site (%s) unstable; urgency=medium\n\n  * First version.\n\n -- Example Site <admin@example.invalid>  %s\n' \
	"$version" "$(date -Ru -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$tree/changelog.gz"
install -m 644 "$tree/changelog.gz" "$tree/usr/share/doc/chrony-site/changelog.Debian.gz"
rm "$tree/changelog.gz"

# The control files. No maintainer scripts: debseal puts them in.
mkdir "$tree/DEBIAN"
sed "s/@VERSION@/$version/" "$here/control" >"$tree/DEBIAN/control"
echo /etc/chrony/sources.d/site.sources >"$tree/DEBIAN/conffiles"
(cd "$tree" && find etc usr -type f ! -path 'etc/*' -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)

name=chrony-site_${version}_amd64.deb
dpkg-deb --root-owner-group -Zxz --build "$tree" "$tree.deb" >/dev/null
rm -f "$out/$name"
"$debseal" seal --hooks "$here/hooks.toml" --hook-elf "$hook" ${KEY:+--key "$KEY"} --output "$out/$name" "$tree.deb"
rm -f "$tree.deb"
echo "$out/$name"
