"""The functions as a zip file: the `handler` package, and a bootstrap that runs it with Lambda's runtime client."""

import io
import shlex
import sys
import zipfile
from pathlib import Path

ENTRY_POINT = "handler.app.handler"

# Modules, and the files of the gallery.
_SUFFIXES = frozenset({".py", ".html", ".js", ".css", ".svg"})
_EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed date makes the zip reproducible


def function_zip(package: Path, bundle: Path, python: str = sys.executable) -> bytes:
    """Pack a Python package as a custom-runtime function; several functions can share the zip.

    Args:
        package: the package's folder; the zip contains it under the same name.
        bundle: the model bundle. It is not packed; MODEL_DIR is set to it unless the function's environment sets it.
        python: a Python interpreter with the function's dependencies.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "bootstrap", bootstrap(bundle, python).encode(), 0o755)
        for path in sorted(path for path in package.rglob("*") if path.suffix in _SUFFIXES):
            _add(archive, f"{package.name}/{path.relative_to(package).as_posix()}", path.read_bytes(), 0o644)
    return buffer.getvalue()


def bootstrap(bundle: Path, python: str) -> str:
    """The shell script that Lambda starts; it does the same as the container image's entry point and command.

    Lambda sets `_HANDLER` to the function's property `Handler`.
    """
    return (
        "#!/bin/sh\n"
        f'[ -n "$MODEL_DIR" ] || MODEL_DIR={shlex.quote(str(bundle.absolute()))}\n'
        "export MODEL_DIR\n"
        f'exec {shlex.quote(python)} -m awslambdaric "$_HANDLER"\n'
    )


def _add(archive: zipfile.ZipFile, name: str, data: bytes, mode: int) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (0o100000 | mode) << 16
    archive.writestr(entry, data)
