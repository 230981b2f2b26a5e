#!/bin/sh
# Bake or copy a model's bundle to OUT, readable by every user and writable by none: model.sh NAME|MANIFEST|BUNDLE OUT OPTIONS
# OPTIONS are options of `python -m infra bake`, as one shell-quoted argument.
set -eu
model=$1
out=$2
eval "set -- $3"

export PIP_CONFIG_FILE=/run/secrets/pip.conf
if [ -f /run/secrets/ca.pem ]; then
    export SSL_CERT_FILE=/run/secrets/ca.pem
fi
if [ -f "$model/model.json" ]; then
    mkdir "$out"
    cp -R "$model/." "$out"
else
    python3 -m infra bake "$model" --out "$out" "$@"
fi
chmod -R a=rX "$out"
