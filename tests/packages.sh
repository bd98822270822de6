#!/bin/bash
# Installs what tests/packages lists and this machine lacks; quick when all is
# there. Without a word: what the program and its tests need. `tests/packages.sh build`
# leaves out what only the tests need; `bench` and `deploy` take what measuring,
# or checking deploy/, needs instead.
set -euo pipefail
cd "$(dirname "$0")"

kind=${1:-tests}
mapfile -t wanted < <(awk -v kind="$kind" '/^[^#]/ && ($2 == "" || $2 == kind) { print $1 }' packages)

if ! command -v dpkg-query >/dev/null; then
	echo "This is no Debian: please see that you have ${wanted[*]}" >&2
	exit 0
fi

missing() {
	local there
	there=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null |
		awk '$2 == "installed" { print $1 }' || true)
	comm -23 <(printf '%s\n' "${wanted[@]}" | sort -u) <(sort -u <<<"$there")
}

mapfile -t lacking < <(missing)
[ ${#lacking[@]} -eq 0 ] && exit 0

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
install() {
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${lacking[@]}"
}

echo "Installing: ${lacking[*]}" >&2
# Lists may be missing or stale: fetch them once if the first try fails.
if ! install >/dev/null 2>&1; then
	"${as_root[@]}" apt-get update -qq
	install >/dev/null
fi
mapfile -t lacking < <(missing)
if [ ${#lacking[@]} -ne 0 ]; then
	echo "Still missing: ${lacking[*]}" >&2
	exit 1
fi
