#!/bin/sh
# Unmount everything that buildah and podman left mounted below a folder, so that it can be deleted: release.sh FOLDER
set -eu
[ -e /proc/mounts ] || exit 0
awk -v below="$1/" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort -r | while read -r folder; do
    umount "$folder"
done
