#!/bin/sh
# fresh.sh [TARGET…]: README's commands, `make demo` and `make test`, on a machine that has nothing
# but what README asks for: a clean Debian 12 with git, make and this machine's Rust toolchain, and
# in it a clone of what is committed here. For what the machine that builds has and nobody named.
set -eu
cd "$(dirname "$0")/.."

if [ "$(id -u)" -ne 0 ]; then
	exec scripts/as-root.sh "$0" "$@"
fi
[ $# -gt 0 ] || set -- demo test
toolchain=$(rustc --print sysroot)
mkdir -p target
root=$(mktemp -d "$PWD/target/fresh.XXXXXX")
# Mounts are private to the namespace below and are gone by then.
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
echo "fresh.sh: making a clean Debian 12 in $root"
TMPDIR=$root scripts/own-mounts.sh mmdebstrap --quiet --variant=minbase --include=git,make bookworm "$root/root.tar"
mkdir "$root/root"
tar -C "$root/root" -xf "$root/root.tar" --exclude='./dev/*'
rm "$root/root.tar"
git clone --quiet --no-hardlinks . "$root/root/root/project"
mkdir -p "$root/root/opt/rust"
# How this machine reaches package archives, where it is told so: certificates and resolver.
cp -L /etc/resolv.conf /etc/hosts "$root/root/etc/" 2>/dev/null || true
if [ -n "${SSL_CERT_FILE:-}" ]; then
	mkdir -p "$root/root/opt/certificates"
	cp -L "$SSL_CERT_FILE" "$root/root/opt/certificates/bundle.crt"
	set -- SSL_CERT_FILE=/opt/certificates/bundle.crt "$@"
fi
for name in http_proxy https_proxy no_proxy; do
	value=$(printenv "$name") || continue
	set -- "$name=$value" "$@"
done

# shellcheck disable=SC2016 # for the shell inside
exec_inside='
	root=$1 toolchain=$2
	shift 2
	mount --make-rprivate /
	# So that "/" is a mount inside, as it is on a machine: pivot_root(2) wants that.
	mount --bind "$root" "$root"
	mount --bind "$toolchain" "$root/opt/rust"
	mount -t proc proc "$root/proc"
	mount -t sysfs -o ro sysfs "$root/sys"
	mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" 2>/dev/null || true
	mount -t tmpfs -o mode=755 tmpfs "$root/dev"
	for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 fuse:10:229; do
		rest=${node#*:}
		mknod -m 666 "$root/dev/${node%%:*}" c "${rest%:*}" "${rest#*:}"
	done
	ln -s /proc/self/fd "$root/dev/fd"
	ln -s fd/0 "$root/dev/stdin"
	ln -s fd/1 "$root/dev/stdout"
	ln -s fd/2 "$root/dev/stderr"
	ln -s pts/ptmx "$root/dev/ptmx"
	mkdir "$root/dev/pts" "$root/dev/shm"
	mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
	mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
	# Not chroot(2): what reads paths from /proc would see that it is in one.
	cd "$root"
	pivot_root . .
	umount -l .
	exec chroot . /usr/bin/env -i HOME=/root USER=root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
		PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
'
variables=
targets=
for word in "$@"; do
	case $word in *=*) variables="$variables $word" ;; *) targets="$targets $word" ;; esac
done
for target in $targets; do
	echo "fresh.sh: make $target"
	began=$(date +%s)
	# shellcheck disable=SC2086 # words without spaces
	unshare --mount --pid --fork sh -euc "$exec_inside" sh "$root/root" "$toolchain" $variables \
		make --no-print-directory -C /root/project "$target"
	echo "fresh.sh: make $target took $(($(date +%s) - began)) s"
done
