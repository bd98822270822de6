#!/bin/bash
# Builds the Debian package of this tree: BUILD/prefd_VERSION_ARCH.deb (`make deb`).
# Its recipe lies in deploy/debian, where a source package has it as debian/.
set -euo pipefail
cd "$(dirname "$0")/.."

build=${BUILD:-build}
version=$(sed -n 's/^VERSION *:= *//p' Makefile)
packaged=$(sed -n '1s/.*(\(.*\)).*/\1/p' deploy/debian/changelog)
if [ "${packaged%-*}" != "$version" ]; then
	echo "deploy/debian/changelog is about $packaged, the Makefile about $version." >&2
	exit 1
fi

tree=$build/deb/prefd-$version
rm -rf "$build/deb"
mkdir -p "$tree"
cp -a Makefile LICENSE README.md server include schema docs deploy tests "$tree"
mv "$tree/deploy/debian" "$tree/debian"
cp deploy/prefd.service deploy/prefd.socket "$tree/debian"
log=$build/deb/log
# BUILD is ours; the package's own build has its own.
if ! (cd "$tree" && env -u BUILD -u MAKEFLAGS -u MAKELEVEL dpkg-buildpackage -b -us -uc) >"$log" 2>&1; then
	tail -40 "$log" >&2
	exit 1
fi
mv "$build/deb/prefd_${packaged}_$(dpkg --print-architecture).deb" "$build"
ls "$build/prefd_${packaged}_$(dpkg --print-architecture).deb"
