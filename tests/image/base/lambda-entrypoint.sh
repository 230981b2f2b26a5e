#!/bin/sh
# What the image runs: the runtime where Lambda starts it, the runtime below the emulator everywhere else.
if [ $# -ne 1 ]; then
    echo "the handler's name must be the only argument" >&2
    exit 142
fi
export _HANDLER="$1"
if [ -n "${AWS_LAMBDA_RUNTIME_API:-}" ]; then
    exec /var/runtime/bootstrap
fi
exec /usr/local/bin/aws-lambda-rie /var/runtime/bootstrap
