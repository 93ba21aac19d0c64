#!/bin/sh
# lint.sh: what no compiler checks: shell scripts, the maintainer script's dependencies, the package.
set -eu
cd "$(dirname "$0")/.."

git ls-files -z --cached --others --exclude-standard 'scripts/*.sh' 'examples/*.sh' .ci/run \
	debian/tests/gate debian/tests/life examples/chrony-site/check tests/stand-ins/pvesh tests/stand-ins/pveum | xargs -0 shellcheck
# Each as the bench puts it together, out of two.
for script in preinst postinst prerm postrm; do
	cat tests/bash-package/common.sh "tests/bash-package/$script" | shellcheck --shell=bash -
done
scripts/hook-deps.sh
for deb in dist/*.deb dist/examples/*.deb; do
	[ -e "$deb" ] || { echo "no $deb: run make deb" >&2; exit 1; }
	lintian --allow-root --fail-on error,warning "$deb"
done
