"""See to a command's packages before it runs. Imports the standard library only.

A checkout installs what is missing into its own environment, and runs the command there. An installed copy never
installs anything: it names the extra that is missing, and the command that installs it.
"""

import importlib.metadata
import importlib.util
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from infra.cli.package_sets import COMMAND_SETS
from infra.common.errors import OperatorError
from infra.common.paths import INSTALLED

_DISTRIBUTION = "dropvec"


def ensure_packages(name: str, arguments: Sequence[str]) -> None:
    """Return if this Python has a set's packages; otherwise install them and run the command again.

    Args:
        name: a set of `COMMAND_SETS`.
        arguments: those of the command, to run it again.

    Raises:
        OperatorError: an installed copy lacks an extra, or a checkout cannot install the set.
    """
    missing = [module for module in COMMAND_SETS[name].modules if not _is_there(module)]
    if not missing:
        return
    if INSTALLED:
        raise OperatorError(_missing_extra(name, missing))
    from infra.cli.environment import install, is_installed  # noqa: PLC0415 - only a checkout needs it

    was_installed = is_installed(name)
    if COMMAND_SETS[name].on_request and not was_installed:
        raise OperatorError(
            f"this command needs {', '.join(missing)}, about {COMMAND_SETS[name].megabytes / 1000:.1f} GB; install the "
            f"packages with: python3 -m infra.cli.install {name}"
        )
    python = install(name)
    if was_installed and Path(sys.prefix) == python.parents[1]:
        raise OperatorError(
            f"{python.parents[1]} lacks {', '.join(missing)}, though {python.parents[1] / f'.ready-{name}'} says that "
            "the packages are installed; remove that folder, and run the same command again"
        )
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(python, [str(python), "-m", "infra", *arguments])  # noqa: S606 - our interpreter with our own arguments


def install_command(extras: Sequence[str]) -> str:
    """The command that installs dropvec with extras, the way that this copy was installed."""
    requirement = shlex.quote(_requirement(extras))
    prefix = Path(sys.prefix)
    if (prefix / "uv-receipt.toml").is_file():
        return f"uv tool install {requirement}"
    if (prefix / "pipx_metadata.json").is_file():
        return f"pipx install --force {requirement}"
    if (_metadata("INSTALLER") or "").strip() == "uv":
        return f"uv pip install --python {shlex.quote(sys.executable)} {requirement}"
    return f"{shlex.quote(sys.executable)} -m pip install {requirement}"


def _missing_extra(name: str, missing: Sequence[str]) -> str:
    if not COMMAND_SETS[name].extras:
        return f"this installation lacks {', '.join(missing)}; repair it with: {install_command(_present_extras())}"
    extras = sorted({name, *_present_extras()})
    return f"this command needs the extra `{name}`, which is not installed; install it with: {install_command(extras)}"


def _present_extras() -> list[str]:
    """The extras that are installed, so that installing one more does not remove them."""
    return [
        name for name, packages in COMMAND_SETS.items() if packages.extras and all(map(_is_there, packages.modules))
    ]


def _requirement(extras: Sequence[str]) -> str:
    """This distribution with extras, from its source: a folder, a file, a repository or an index (PEP 610)."""
    wanted = f"[{','.join(extras)}]" if extras else ""
    source: Mapping[str, Mapping[str, str]] = json.loads(_metadata("direct_url.json") or "{}")
    url = str(source.get("url", ""))
    if url.startswith("file:"):
        return f"{unquote(urlsplit(url).path)}{wanted}"
    if "vcs_info" in source:
        return f"{_DISTRIBUTION}{wanted} @ {source['vcs_info']['vcs']}+{url}@{source['vcs_info']['commit_id']}"
    if url:
        return f"{_DISTRIBUTION}{wanted} @ {url}"
    return f"{_DISTRIBUTION}{wanted}=={importlib.metadata.version(_DISTRIBUTION)}"


def _metadata(name: str) -> str | None:
    """A file of this distribution's metadata; None if it is not there."""
    return importlib.metadata.distribution(_DISTRIBUTION).read_text(name)


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
