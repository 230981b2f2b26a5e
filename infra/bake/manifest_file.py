"""TOML -> a validated manifest. Errors are one line that names the file and the key."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import TypeAdapter, ValidationError

from infra.bake.manifest import Manifest, SourceFile, files_of
from infra.common.errors import OperatorError
from infra.common.paths import MANIFESTS
from infra.common.text import suggestion

_PROBLEMS = {"missing": "is missing", "unexpected_keyword_argument": "is not a known key"}


def find_manifest(name_or_path: str) -> Path:
    """The path of a manifest, given the name of a model of infra/manifests or the path of a `.toml` file.

    Raises:
        OperatorError: there is none.
    """
    path = Path(name_or_path) if name_or_path.endswith(".toml") else MANIFESTS / f"{name_or_path}.toml"
    if path.is_file():
        return path
    names = sorted(shipped.stem for shipped in MANIFESTS.glob("*.toml"))
    raise OperatorError(
        f"{name_or_path} is neither a bundle's directory nor a manifest file (.toml) nor one of: {', '.join(names)}"
        f"{suggestion(name_or_path, names)}"
    )


def read_manifest(path: Path) -> Manifest:
    """Read and validate a manifest.

    Raises:
        OperatorError: it is not TOML, or a key is missing, unknown, of the wrong type or out of range.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OperatorError(f"{path} is not a manifest: {error}") from None
    if "path" in table:
        raise OperatorError(f"{path}: path is not a known key")
    try:
        manifest = TypeAdapter(Manifest).validate_python({**table, "path": path})
    except ValidationError as error:
        problems = (_problem(details) for details in error.errors(include_url=False))
        raise OperatorError(f"{path}: {'; '.join(problems)}") from None
    check(manifest)
    return manifest


def _problem(details: Mapping[str, Any]) -> str:
    """One error of pydantic, such as `[preprocess] divisor is 0: it should be greater than 0`."""
    names: list[str] = []
    for part in details["loc"]:
        names += [part] if isinstance(part, str) else [f"{names.pop()}[{part}]"]
    *sections, key = names
    where = f"[{'.'.join(sections)}] {key}" if sections else key
    if details["type"] in _PROBLEMS:
        return f"{where} {_PROBLEMS[details['type']]}"
    text = re.sub("^(Input|String|List) should", "it should", str(details["msg"]).removeprefix("Value error, "))
    return f"{where} is {details['input']!r}: {' '.join(text.split())}"


def check(manifest: Manifest) -> None:
    """Check what depends on several values.

    Raises:
        OperatorError: they do not fit together.
    """
    if manifest.preprocess.shortest < manifest.preprocess.input_size:
        raise OperatorError(f"{manifest.path}: [preprocess] resize_size must be 0 or at least input_size")
    if manifest.licence.file is None and not manifest.licence.text:
        raise OperatorError(f"{manifest.path}: [licence] needs `file` or `text`, the licence that the bundle includes")
    _check_labels(manifest)
    _check_source(manifest)
    files = files_of(manifest)
    for file in files:
        _check_file(manifest, file)
    if manifest.source.kind == "pypi" and len({file.name for file in files}) < len({file.path for file in files}):
        raise OperatorError(f"{manifest.path}: two files of the wheel have the same name")


def _check_labels(manifest: Manifest) -> None:
    if manifest.labels and manifest.image.builder != "efficientnet-lite0":
        raise OperatorError(f"{manifest.path}: [labels] needs the classifier of the builder 'efficientnet-lite0'")


def _check_source(manifest: Manifest) -> None:
    source = manifest.source
    needed = {"pypi": ("requirement", source.requirement), "url": ("base", source.base)}.get(source.kind)
    if needed and not needed[1]:
        raise OperatorError(f"{manifest.path}: [source] of kind {source.kind!r} needs the key {needed[0]!r}")
    if source.kind == "url" and not re.match(r"https?://[^/]", source.base):
        raise OperatorError(f"{manifest.path}: [source] base is {source.base!r}; it should be an http or https URL")


def _check_file(manifest: Manifest, file: SourceFile) -> None:
    parts = PurePosixPath(file.path).parts
    if not file.name or (manifest.source.kind != "file" and (".." in parts or parts[0] == "/")):
        raise OperatorError(
            f"{manifest.path}: the path {file.path!r} is not valid; it should name a file of the source"
        )
    if "://" in file.path and manifest.source.kind != "url":
        raise OperatorError(f"{manifest.path}: the path {file.path!r} is a URL, which needs a [source] of kind 'url'")
    if manifest.source.kind == "pypi" and not file.sha256:
        raise OperatorError(f"{manifest.path}: {file.path} needs sha256: files of a wheel are always pinned")
