# shellcheck shell=bash disable=SC2034 # the scripts use every name
# What the four scripts share. A maintainer script runs before its package is unpacked and after it
# is gone, so there is no file it could source: the build puts this text in place of that line.
set -euo pipefail
umask 022

PACKAGE=pve-network-rs
INFO=/var/lib/dpkg/info/$PACKAGE
STATE=/var/lib/$PACKAGE
BACKUPS=$STATE/backups
MIGRATION=/etc/pve/network/migration.toml
TEMPLATE=/usr/share/$PACKAGE/migration.toml
UNITS=(pve-network-rs.service pve-network-migration.service)
KEEP=20

say() {
	echo "$PACKAGE: $*" >&2
}

booted() {
	[ -d /run/systemd/system ]
}

# verified FOLDER KEYRING: its control files are those that the packager signed.
verified() {
	gpgv --quiet --keyring "$2" "$1/manifest-sig" "$1/manifest" 2>/dev/null || return 1
	(cd "$1" && sha256sum --quiet --check manifest)
}

# Copies what is to be protected to a new folder, complete and durable before it gets its name.
snapshot() {
	local path stamp folder new count=2 present=()
	shopt -s nullglob
	for path in /etc/network/interfaces{,.new} /etc/network/interfaces.d \
		/etc/frr/{frr.conf,frr.conf.local,daemons} /etc/pve/sdn/{*.cfg,.running-config,pve-ipam-state.json} \
		/etc/pve/{sdn.cfg,storage.cfg,priv/ipam.db} "$MIGRATION" /etc/pve/lxc/*.conf; do
		[ ! -e "$path" ] || present+=("$path")
	done
	TZ=UTC printf -v stamp '%(%Y%m%d-%H%M%S)T' -1
	folder=$BACKUPS/$stamp
	while [ -e "$folder" ]; do
		folder=$BACKUPS/$stamp-$((count++))
	done
	new=$BACKUPS/.new.$$
	# Checked by hand: `set -e` is off in whatever is called left of `||`.
	mkdir -p "$BACKUPS" && chmod 700 "$BACKUPS" && mkdir "$new" || return 1
	[ "${#present[@]}" -eq 0 ] || rsync --archive --xattrs --relative "${present[@]}" "$new/" || return 1
	(cd "$new" && find . -type f -exec sha256sum {} + >../.sums.$$ && mv ../.sums.$$ SHA256SUMS) || return 1
	sync --file-system "$new" && mv "$new" "$folder" || return 1
	ln -sfn "${folder##*/}" "$BACKUPS/latest" && sync "$BACKUPS" || return 1
	say "captured ${#present[@]} paths in $folder"
}

# restore FOLDER: this node's own files as they were, if the copy is sound.
restore() {
	local from=()
	[ -d "$1" ] || return 0
	if ! (cd "$1" && sha256sum --quiet --check SHA256SUMS); then
		say "$1 is damaged and was not restored"
		return 0
	fi
	[ ! -d "$1/etc/network" ] || from+=("$1/./etc/network")
	[ ! -d "$1/etc/frr" ] || from+=("$1/./etc/frr")
	[ "${#from[@]}" -eq 0 ] ||
		rsync --archive --xattrs --relative --checksum --exclude=interfaces.new "${from[@]}" /
	sync --file-system /etc/network
}

# This node back to Perl, wherever it was.
safe_phase() {
	echo perl-only >"$STATE/ceiling"
	if [ -e "$MIGRATION" ] && ! grep -q '^phase = "perl-only"' "$MIGRATION"; then
		sed -i 's/^phase = .*/phase = "perl-only"/' "$MIGRATION" || say "$MIGRATION can't be written now"
	fi
}

# Backups above the number kept; their names sort by age.
prune() {
	local all=("$BACKUPS"/2*) extra
	extra=$((${#all[@]} - KEEP))
	[ "$extra" -le 0 ] || rm -rf "${all[@]:0:extra}"
}
