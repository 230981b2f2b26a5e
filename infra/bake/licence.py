"""The licences of the weights and of the words for labels: show them to the user, and copy them into the bundle."""

from collections.abc import Callable
from pathlib import Path

from infra.bake.manifest import Manifest
from infra.bake.sources import Files
from infra.common.errors import OperatorError

LICENCE_FILE = "LICENSE"

_LINES_SHOWN = 12


def write_licence(manifest: Manifest, files: Files, bundle: Path, say: Callable[[str], None]) -> None:
    """Write the licence file: the weights' licence, the text that the manifest adds, the words' licence; and show it.

    Raises:
        OperatorError: a licence file cannot be read, or is empty.
    """
    licence = manifest.licence
    paths = [files.path(licence.file)] if licence.file else []
    paths += [manifest.folder / licence.text] if licence.text else []
    paths += [manifest.folder / manifest.labels.notice] if manifest.labels else []
    try:
        parts = [path.read_bytes() for path in paths]
    except OSError as error:
        raise OperatorError(f"{manifest.path}: the licence {error.filename}: {error.strerror}") from None
    if not parts[0].strip():
        raise OperatorError(f"the licence {paths[0]} is empty; name the weights' licence in [licence]")
    (bundle / LICENCE_FILE).write_bytes(b"\n\n".join(parts))
    say(f"licence {licence.spdx}" + (f": {licence.summary}" if licence.summary else ""))
    lines = [line for line in parts[0].decode("utf-8", "replace").splitlines() if line.strip()]
    for line in lines[:_LINES_SHOWN]:
        say(f"  | {line.rstrip()}")
    if len(lines) > _LINES_SHOWN:
        say(f"  | … {len(lines) - _LINES_SHOWN} more lines in {LICENCE_FILE} of the bundle")
