#!/bin/sh
# piuparts.sh: what dist/*.deb leaves behind after install, remove, install again and purge, on clean
# Debian 12 and 13 (piuparts(1)). It passes over /var/backups, where what is unique is kept.
set -eu
cd "$(dirname "$0")/.."

if [ "$(id -u)" -ne 0 ]; then
	exec scripts/as-root.sh "$0" "$@"
fi
for suite in ${SUITES:-bookworm trixie}; do
	tarball=$(scripts/root-tarball.sh "$suite")
	for deb in dist/*.deb; do
		for flow in '' --install-remove-install; do
			# shellcheck disable=SC2086 # an empty flow is no argument
			piuparts --basetgz="$tarball" --distribution="$suite" --no-eatmydata \
				--warn-on-leftovers-after-purge --skip-logrotatefiles-test --log-level=info $flow "$deb"
		done
	done
done
