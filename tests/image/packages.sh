#!/bin/sh
# What the image's tests need of Debian: nothing is done where it is there already.
set -eu
missing=
for package in buildah podman runc mmdebstrap iproute2; do
    dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed$' || missing="$missing $package"
done
# Debian 13's signatures, which the first keyrings of Debian 12 did not know.
[ -e /usr/share/keyrings/debian-archive-trixie-stable.gpg ] || missing="$missing debian-archive-keyring"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "dropvec: the image's tests run as root on Debian, and need:$missing" >&2
    exit 1
fi
echo "Installing$missing ..."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # $missing is several words
apt-get install -qq --yes --no-install-recommends $missing >/dev/null
