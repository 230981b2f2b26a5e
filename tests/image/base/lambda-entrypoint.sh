#!/bin/sh
# The entry point: in Lambda it runs the runtime, elsewhere the emulator, which runs the runtime.
if [ $# -ne 1 ]; then
    echo "expected one argument, the name of the handler" >&2
    exit 142
fi
export _HANDLER="$1"
if [ -n "${AWS_LAMBDA_RUNTIME_API:-}" ]; then
    exec /var/runtime/bootstrap
fi
exec /usr/local/bin/aws-lambda-rie /var/runtime/bootstrap
