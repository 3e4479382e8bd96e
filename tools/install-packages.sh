#!/bin/sh
# install-packages.sh LIST... - see to it that the Debian packages in the lists are there.
# Installs what is missing when run as root; else says what to install. Exit 0: all there.
set -eu

wanted=$(sed -e 's/#.*//' -- "$@")
missing=
for p in $wanted; do
	state=$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null || true)
	[ "$state" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "missing packages; as root:  apt-get install --no-install-recommends$missing" >&2
	exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# Lists may be absent or old on a fresh machine; without a network the old ones may still do.
apt-get -o DPkg::Lock::Timeout=120 -q update || echo "apt-get update failed, trying what is known" >&2
# shellcheck disable=SC2086 # a list of words
apt-get -o DPkg::Lock::Timeout=300 -q -y install --no-install-recommends $missing
