#!/bin/sh
# A model's bundle where the image has it, readable by all and writable by none: model.sh NAME|MANIFEST|BUNDLE OUT OPTIONS
# OPTIONS are those of `python -m infra bake`, in one argument, quoted as a shell wants them.
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
