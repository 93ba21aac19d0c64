#!/bin/sh
# perl.sh: tries our reader and writer of interfaces(5) beside Proxmox's own, which are Perl, on CASES (20000)
# files made from SEED (1). PROXMOX_PERL names a checkout of Proxmox's pve-common; without it, the newest one is
# fetched into target/pve-common. See docs/testing.md.
set -eu
cd "$(dirname "$0")/.."

scripts/deps.sh build perl
if [ -z "${PROXMOX_PERL:-}" ]; then
	PROXMOX_PERL=target/pve-common
	[ -d "$PROXMOX_PERL" ] || git clone --quiet --depth 1 https://github.com/proxmox/pve-common "$PROXMOX_PERL"
fi
export PROXMOX_PERL
export CASES="${CASES:-20000}"
exec cargo test --locked -p network --test perl -- --nocapture
