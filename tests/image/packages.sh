#!/bin/sh
# Install the Debian packages that the tests of the image need, if they are missing.
set -eu
missing=
for package in buildah podman runc mmdebstrap iproute2; do
    dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed$' || missing="$missing $package"
done
# The keys of Debian 13, which early versions of Debian 12's keyring do not have.
[ -e /usr/share/keyrings/debian-archive-trixie-stable.gpg ] || missing="$missing debian-archive-keyring"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "dropvec: the tests of the image need root and Debian, with the packages:$missing" >&2
    exit 1
fi
echo "Installing$missing ..."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # $missing is several words
apt-get install -qq --yes --no-install-recommends $missing >/dev/null
