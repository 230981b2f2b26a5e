"""A file to download, and helpers for the tests of downloads."""

import hashlib
import random
import sys
from pathlib import Path

import pytest

from infra.bake.download.transfer import Remote, RetryPolicy, download
from infra.common.errors import OperatorError
from tests.support.file_server import FileServer

CONTENT = random.Random(4).randbytes(200_000)
OTHER = random.Random(5).randbytes(200_000)
QUICK = RetryPolicy(attempts=3, pause=0.001, longest_pause=0.05, connect=5, silence=5)
PAGE = b"<!DOCTYPE html>\n<html><body>Please log in</body></html>"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def pinned(server: FileServer, content: bytes = CONTENT) -> Remote:
    return Remote(f"{server.url}/models/m.onnx", sha256(content), len(content))


def unpinned(server: FileServer) -> Remote:
    return Remote(f"{server.url}/models/m.onnx", None, None)


def refused(remote: Remote, target: Path, *, mirror: str | None = None, retries: RetryPolicy = QUICK) -> str:
    """The error of a download that fails; checks that it is one line and leaves no file."""
    with pytest.raises(OperatorError) as raised:
        download(remote, target, mirror=mirror, retries=retries)
    assert not target.exists()
    line = str(raised.value)
    assert "\n" not in line
    return line


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


CHILD = """
import sys
from pathlib import Path
from infra.bake.download.transfer import RetryPolicy, Remote, download
from infra.common.errors import OperatorError
url, sha256, size, target = sys.argv[1:]
try:
    download(Remote(url, sha256, int(size)), Path(target), retries=RetryPolicy(attempts=1))
except OperatorError as error:
    print(error)
print(sorted((path.name, path.stat().st_size) for path in Path(target).parent.iterdir()))
"""


def child(remote: Remote, target: Path) -> list[str]:
    return [sys.executable, "-c", CHILD, remote.url, remote.sha256 or "", str(remote.size), str(target)]
