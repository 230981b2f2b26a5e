#!/bin/sh
# Install the Debian packages that the tests of the gallery need, if they are missing: the browser and a font.
set -eu
missing=
for package in chromium fonts-inter; do
    dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed$' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "dropvec: the tests of the gallery need root and Debian, with the packages:$missing" >&2
    exit 1
fi
echo "Installing$missing ..."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # $missing is several words
apt-get install -qq --yes --no-install-recommends $missing >/dev/null
