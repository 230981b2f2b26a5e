"""The process that the local AWS lives in: it ends, with all that it started, when its parent does.

    python -m infra.local.process SOCKET_FD SCRATCH_DIR [PEM]   (in a process group of its own)

It serves ministack, and the stand-in for S3 Vectors in front of it, on the socket it inherits, already bound to
loopback; with a PEM file of a key and a certificate, over TLS. Its standard input is a pipe that its parent holds open
and never writes to. However the parent ends, even by SIGKILL, the kernel closes that pipe; then the scratch folder is
removed and the whole process group killed: this process and the function's workers.
"""

import asyncio
import os
import shutil
import signal
import sys
import threading
import traceback
from typing import NoReturn


def main() -> None:
    """Serve until the parent is gone."""
    socket_fd, scratch = int(sys.argv[1]), sys.argv[2]
    pem = sys.argv[3] if len(sys.argv) > 3 else None
    # Only against the signal that `_end` sends to its own group; a handler, unlike SIG_IGN, is not inherited.
    signal.signal(signal.SIGTERM, lambda *_: None)
    threading.Thread(target=_watch, args=(scratch,), daemon=True).start()
    try:
        asyncio.run(_serve(socket_fd, pem))
    except BaseException:  # noqa: BLE001 - nothing may keep it from cleaning up
        traceback.print_exc()
    _end(scratch)


def _watch(scratch: str) -> NoReturn:
    sys.stdin.buffer.read()
    _end(scratch)


def _end(scratch: str) -> NoReturn:
    os.killpg(0, signal.SIGTERM)  # the workers first, so that they write nothing more
    shutil.rmtree(scratch, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)
    raise AssertionError("unreachable")


async def _serve(socket_fd: int, pem: str | None) -> None:
    # Imported late: they take most of a second, and the parent is watched from the start.
    from hypercorn.asyncio import serve  # noqa: PLC0415 - see above
    from hypercorn.config import Config  # noqa: PLC0415 - see above
    from ministack.app import app  # noqa: PLC0415 - see above

    from infra.local.s3vectors.front import with_s3vectors  # noqa: PLC0415 - see above

    config = Config()
    config.bind = [f"fd://{socket_fd}"]
    config.certfile = config.keyfile = pem
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    # A trigger of our own keeps hypercorn from installing signal handlers.
    await serve(with_s3vectors(app), config, shutdown_trigger=asyncio.Event().wait)


if __name__ == "__main__":
    main()
