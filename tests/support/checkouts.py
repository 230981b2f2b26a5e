"""A small checkout whose packages are tiny wheels of this test, and a package index that can be slow."""

import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from infra.common.paths import ROOT
from infra.common.pip_settings import base_python

PYPROJECT = """\
[project]
name = "dropvec"
version = "0.1.0"
dependencies = ["things==1.0"]

[project.optional-dependencies]
aws = []
demo = []
vectors = []

[dependency-groups]
test = ["more-things==1.0"]
"""
UV = Path(sys.executable).parent / "uv"


def write_wheel(folder: Path, name: str, content: Mapping[str, bytes] | None = None) -> Path:
    """A wheel of version 1.0 with the given files."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    info = {
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{name}-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files = {f"{name}.py": b"", **(content or {}), **info}
    record = "".join(f"{file},,\n" for file in [*files, f"{name}-1.0.dist-info/RECORD"]).encode()
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, data in (files | {f"{name}-1.0.dist-info/RECORD": record}).items():
            archive.writestr(file, data)
    return wheel


class Checkout:
    """A copy of what an installation reads, in a folder with a space and a letter outside ASCII in its name."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a checkout é"
        self.home = folder / "home"
        self.index = folder / "index"
        self.venv = self.root / ".venv"
        self.home.mkdir(parents=True)
        shutil.copytree(ROOT / "infra", self.root / "infra", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "handler", self.root / "handler", ignore=shutil.ignore_patterns("__pycache__"))
        (self.root / "pyproject.toml").write_text(PYPROJECT)
        (self.root / "constraints.txt").write_text("")
        shutil.copy(ROOT / "Makefile", self.root)
        write_wheel(self.index, "things")
        write_wheel(self.index, "more_things")
        programs = folder / "programs"
        programs.mkdir()
        (programs / "uv").symlink_to(UV)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "PYTHON"))}
        self.environment = kept | {
            "HOME": str(self.home),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.index),
            "UV_NO_CONFIG": "1",
        }

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        """`python -m` with a Python that has none of this environment's packages."""
        command = [base_python(), "-m", *arguments]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True}
        return subprocess.Popen(command, cwd=self.root, env=self.environment, text=True, **(pipes | options))

    def run(self, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=100)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def packages(self) -> set[str]:
        """The distributions in the environment."""
        return {path.name.partition("-")[0] for path in self.venv.glob("lib/python3*/site-packages/*.dist-info")}


class SlowIndex:
    """A package index on 127.0.0.1 that sends half of each wheel, and the rest only after `finish`."""

    def __init__(self, folder: Path) -> None:
        self.asked = threading.Event()
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, folder, self.asked.set, self._released))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/simple"

    def finish(self) -> None:
        """Send what is held back, and all later wheels at once."""
        self._released.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.finish()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, folder: Path, asked: Callable[[], None], released: threading.Event, *rest: Any) -> None:
        self.folder, self.asked, self.released = folder, asked, released
        super().__init__(*rest)

    def do_GET(self) -> None:
        name = self.path.strip("/").split("/")[-1]
        if name.endswith(".whl"):
            self._send_wheel((self.folder / name).read_bytes())
            return
        files = [path.name for path in self.folder.glob("*.whl") if path.name.startswith(name.replace("-", "_") + "-")]
        page = "".join(f'<a href="/files/{file}">{file}</a>' for file in files).encode()
        self._head(len(page), "text/html")
        self.wfile.write(page)

    def do_HEAD(self) -> None:
        data = (self.folder / self.path.strip("/").split("/")[-1]).read_bytes()
        self._head(len(data), "application/octet-stream")

    def _send_wheel(self, data: bytes) -> None:
        self._head(len(data), "application/octet-stream")
        self.wfile.write(data[: len(data) // 2])
        self.wfile.flush()
        self.asked()
        self.released.wait(30)
        self.wfile.write(data[len(data) // 2 :])

    def _head(self, length: int, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""
