"""TOML -> a checked manifest; what is wrong is told in one line that names the key."""

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path, PurePosixPath
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from handler.images.preprocess import INTERPOLATIONS
from infra.bake.manifest import Manifest, SourceFile, files_of
from infra.common.errors import OperatorError

SHIPPED = Path(__file__).parents[1] / "manifests"

T = TypeVar("T")


def find_manifest(name_or_path: str) -> Path:
    """The manifest of a shipped model's name, or of a path to a `.toml`.

    Raises:
        OperatorError: there is none.
    """
    path = Path(name_or_path) if name_or_path.endswith(".toml") else SHIPPED / f"{name_or_path}.toml"
    if path.is_file():
        return path
    names = ", ".join(sorted(shipped.stem for shipped in SHIPPED.glob("*.toml")))
    raise OperatorError(
        f"{name_or_path} is neither a bundle's folder nor a manifest's file (.toml), nor one of: {names}"
    )


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest.

    Raises:
        OperatorError: it is not TOML, or a key is missing, unknown or of the wrong type; the text names it.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OperatorError(f"{path} is not a manifest: {error}") from None
    if "path" in table:
        raise OperatorError(f"{path}: has an unknown key 'path'")
    manifest = _read(Manifest, {**table, "path": path}, f"{path}:", "")
    check(manifest)
    return manifest


def _read(kind: type[T], table: Mapping[str, Any], where: str, section: str) -> T:
    """Make a dataclass of a table, and of the tables in it; `section` is its dotted name."""
    hints = get_type_hints(kind)
    known = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type] # every caller passes a dataclass
    place = f"{where} [{section}]" if section else where
    for name in table:
        if name not in known:
            raise OperatorError(f"{place} has an unknown key {name!r}; known are {', '.join(known)}")
    values = {}
    for name, entry in known.items():
        if name in table:
            values[name] = _value(hints[name], table[name], f"{where} [{section}]" if section else where, name)
        elif entry.default is MISSING and entry.default_factory is MISSING:
            missing = f"[{name}] is missing" if is_dataclass(hints[name]) else f"lacks the key {name!r}"
            raise OperatorError(f"{place} {missing}")
    return kind(**values)


def _value(hint: Any, value: Any, place: str, name: str) -> Any:  # noqa: ANN401 - whatever TOML holds
    inner = [argument for argument in get_args(hint) if argument is not NoneType]
    if get_origin(hint) is list and inner[0] is not float:
        if not isinstance(value, list):
            raise OperatorError(f"{place} {name} is {value!r}, not a list")
        return [_value(inner[0], entry, place, name) for entry in value]
    kind = inner[0] if inner and get_origin(hint) is not list else hint
    if is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, Mapping):
            raise OperatorError(f"{place} {name} is {value!r}, not a table")
        return _read(kind, value, place.partition(" [")[0], _dotted(place, name))
    if not _fits(value, kind):
        raise OperatorError(f"{place} {name} is {value!r}, not of type {_type_name(kind)}")
    return _exact(value, kind)


def _dotted(place: str, name: str) -> str:
    section = place.partition(" [")[2].rstrip("]")
    return f"{section}.{name}" if section else name


def _exact(value: Any, hint: object) -> Any:  # noqa: ANN401 - whatever TOML holds
    """Make floats of the whole numbers that stand for some, so that 1 and 1.0 are the same model."""
    if hint == list[float]:
        return [float(number) for number in value]
    return float(value) if hint is float else value


def _fits(value: object, hint: object) -> bool:
    if hint == list[float]:
        return isinstance(value, list) and len(value) == 3 and all(_fits(number, float) for number in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(hint, type) and isinstance(value, hint) and not isinstance(value, bool)


def _type_name(hint: object) -> str:
    return "three numbers" if hint == list[float] else getattr(hint, "__name__", str(hint))


def check(manifest: Manifest) -> None:
    """Check what types alone do not say.

    Raises:
        OperatorError: a value is none of the known ones, or out of range.
    """
    allowed = {
        "[source] kind": (manifest.source.kind, ["pypi", "url", "file"]),
        "[image] builder": (manifest.image.builder, ["onnx", "efficientnet-lite0"]),
        "[image] take": (manifest.image.take, ["all", "first_token"]),
        "[preprocess] resize_mode": (manifest.preprocess.resize_mode, ["shortest_side"]),
        "[preprocess] interpolation": (manifest.preprocess.interpolation, list(INTERPOLATIONS)),
        "[preprocess] crop": (manifest.preprocess.crop, ["center"]),
        "[preprocess] channel_order": (manifest.preprocess.channel_order, ["rgb", "bgr"]),
    }
    for where, (value, known) in allowed.items():
        if value not in known:
            raise OperatorError(f"{manifest.path}: {where} is {value!r}; known are {', '.join(known)}")
    # The name becomes part of paths and of result keys.
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", manifest.name):
        raise OperatorError(f"{manifest.path}: name is {manifest.name!r}; it takes a-z, 0-9, '.', '_' and '-'")
    how, text = manifest.preprocess, manifest.text
    for where, number in {
        "embedding_dim": manifest.embedding_dim,
        "[preprocess] input_size": how.input_size,
        "[preprocess] divisor": how.divisor,
        "[preprocess] std": min(how.std),
        "[text] context_length": text.context_length if text else 1,
    }.items():
        if number <= 0:
            raise OperatorError(f"{manifest.path}: {where} must be positive")
    if how.shortest < how.input_size:
        raise OperatorError(f"{manifest.path}: [preprocess] resize_size must be 0 or at least input_size")
    if manifest.licence.file is None and not manifest.licence.text:
        raise OperatorError(f"{manifest.path}: [licence] needs a file or a text: nobody may use weights without one")
    _check_source(manifest)
    files = files_of(manifest)
    for file in files:
        _check_file(manifest, file)
    if manifest.source.kind == "pypi" and len({file.name for file in files}) < len({file.path for file in files}):
        raise OperatorError(f"{manifest.path}: two files of the wheel have the same name")


def _check_source(manifest: Manifest) -> None:
    source = manifest.source
    needed = {"pypi": ("requirement", source.requirement), "url": ("base", source.base)}.get(source.kind)
    if needed and not needed[1]:
        raise OperatorError(f"{manifest.path}: [source] of kind {source.kind!r} needs the key {needed[0]!r}")
    if source.kind == "url" and not re.match(r"https?://[^/]", source.base):
        raise OperatorError(f"{manifest.path}: [source] base is {source.base!r}, not a URL")


def _check_file(manifest: Manifest, file: SourceFile) -> None:
    parts = PurePosixPath(file.path).parts
    if not file.name or (manifest.source.kind != "file" and (".." in parts or parts[0] == "/")):
        raise OperatorError(f"{manifest.path}: {file.path!r} names no file")
    if "://" in file.path and manifest.source.kind != "url":
        raise OperatorError(f"{manifest.path}: {file.path!r} is a URL, and [source] is not of kind 'url'")
    if file.sha256 and not re.fullmatch(r"[0-9a-f]{64}", file.sha256):
        raise OperatorError(f"{manifest.path}: {file.sha256!r} is no SHA-256 in lower-case hex")
    if manifest.source.kind == "pypi" and not file.sha256:
        raise OperatorError(f"{manifest.path}: {file.path} needs its sha256: a file out of a wheel is always pinned")
