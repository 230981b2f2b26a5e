#!/bin/sh
# What `make formats` needs of Debian: ImageMagick, and libjpeg-turbo's cjpeg for arithmetic JPEGs.
set -eu
missing=
command -v magick >/dev/null || command -v convert >/dev/null || missing="imagemagick"
command -v cjpeg >/dev/null || missing="$missing libjpeg-turbo-progs"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "dropvec: the comparison of formats needs: $missing" >&2
    exit 1
fi
echo "Installing $missing ..."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # $missing is several words
apt-get install -qq --yes --no-install-recommends $missing >/dev/null
