"""The server process of the local AWS. When its parent ends, it ends, too, with all processes that it started.

    python -m infra.local.process SOCKET_FD API_SOCKET_FD SCRATCH_DIR [PEM]   (in its own process group)

It serves ministack, with the stand-in for S3 Vectors in front of it, on an inherited socket that is already bound to
loopback, with TLS if PEM names a file with a key and a certificate. On the second socket, without TLS, it serves the
stack's HTTP API. Its standard input is a pipe that its parent keeps
open and never writes to. However the parent ends, even by SIGKILL, the kernel closes that pipe. This process then
deletes the scratch folder and kills its process group, which includes the function's workers.
"""

import asyncio
import os
import shutil
import signal
import socket
import sys
import threading
import traceback
from typing import NoReturn


def main() -> None:
    """Serve until the parent ends."""
    socket_fd, api_fd, scratch = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    pem = sys.argv[4] if len(sys.argv) > 4 else None
    # Ignores the SIGTERM that `_end` sends to its own group. A handler, unlike SIG_IGN, is not inherited by workers.
    signal.signal(signal.SIGTERM, lambda *_: None)
    threading.Thread(target=_watch, args=(scratch,), daemon=True).start()
    try:
        asyncio.run(_serve(socket_fd, api_fd, pem))
    except BaseException:  # noqa: BLE001 - clean up after any error
        traceback.print_exc()
    _end(scratch)


def _watch(scratch: str) -> NoReturn:
    sys.stdin.buffer.read()
    _end(scratch)


def _end(scratch: str) -> NoReturn:
    os.killpg(0, signal.SIGTERM)  # end the workers first, so that they stop writing to the scratch folder
    shutil.rmtree(scratch, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)
    raise AssertionError("unreachable")


async def _serve(socket_fd: int, api_fd: int, pem: str | None) -> None:
    # These imports take most of a second; they come after the start of the thread that watches the parent.
    from hypercorn.asyncio import serve  # noqa: PLC0415 - see above
    from hypercorn.config import Config  # noqa: PLC0415 - see above
    from ministack.app import app  # noqa: PLC0415 - see above

    from infra.local.aliases import with_aliases  # noqa: PLC0415 - see above
    from infra.local.event_sources import with_numbers_in_event_sources  # noqa: PLC0415 - see above
    from infra.local.function_url import with_function_url  # noqa: PLC0415 - see above
    from infra.local.imports import with_imports  # noqa: PLC0415 - see above
    from infra.local.s3vectors.front import with_s3vectors  # noqa: PLC0415 - see above

    config = Config()
    config.bind = [f"fd://{socket_fd}"]
    # Without a certificate, hypercorn ignores `insecure_bind`, and `bind` is insecure.
    (config.insecure_bind if pem else config.bind).append(f"fd://{api_fd}")
    config.certfile = config.keyfile = pem
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    # With a shutdown trigger, hypercorn installs no signal handlers.
    extended = with_s3vectors(with_imports(with_aliases(with_numbers_in_event_sources(app))))
    application = with_function_url(extended, _port(api_fd))
    await serve(application, config, shutdown_trigger=asyncio.Event().wait)


def _port(socket_fd: int) -> int:
    with socket.socket(fileno=os.dup(socket_fd)) as duplicate:
        port: int = duplicate.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
