# Sourced by the four scripts: what a careful packager would write with Debian's own tools.
state=/var/lib/pve-network-rs
files="/etc/network/interfaces /etc/network/interfaces.new /etc/network/interfaces.d /etc/frr/frr.conf
	/etc/frr/frr.conf.local /etc/frr/daemons /etc/pve/sdn /etc/pve/storage.cfg /etc/pve/lxc
	/etc/pve/network/migration.toml"
# shellcheck disable=SC2034 # not every script uses it
units="pve-network-rs.service pve-network-migration.service"

snapshot() {
	local to present=()
	to=$state/backups/$(date -u +%Y%m%d-%H%M%S)
	while [ -e "$to" ]; do to=$to-2; done
	install -d -m 700 "$state/backups" "$to.new"
	for file in $files; do [ ! -e "$file" ] || present+=("$file"); done
	[ ${#present[@]} -eq 0 ] || rsync -aR "${present[@]}" "$to.new/"
	# shellcheck disable=SC2094 # find passes over what is being written
	(cd "$to.new" && find . -type f ! -name SHA256SUMS -print0 | xargs -0 -r sha256sum >SHA256SUMS)
	sync -f "$to.new"
	mv "$to.new" "$to"
	ln -sfn "${to##*/}" "$state/backups/latest"
	sync -f "$state/backups"
}

restore_last() {
	local from=$state/backups/latest
	[ -e "$from/SHA256SUMS" ] || return 0
	(cd "$from/" && sha256sum --quiet -c SHA256SUMS)
	[ ! -d "$from/etc/network" ] || rsync -a "$from/etc/network/" /etc/network/
	sync -f /etc/network
}

safe_phase() {
	[ ! -e /etc/pve/network/migration.toml ] || sed -i 's/^phase = .*/phase = "perl-only"/' /etc/pve/network/migration.toml
}
