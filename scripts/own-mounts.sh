#!/bin/sh
# own-mounts.sh COMMAND…: runs it in a mount namespace of its own. What it mounts, and can't unmount
# when it is killed or somebody looks in there, is gone with it rather than left on this machine.
set -eu

# In a plain chroot `/` is no mount, so that nothing about it can be changed, nor need it be.
exec unshare --mount --propagation=unchanged sh -c 'mount --make-rprivate / 2>/dev/null || true; exec "$@"' sh "$@"
