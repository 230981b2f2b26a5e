"""A model's manifest: the TOML that says where its weights come from and how it wants its pixels."""

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from handler.preprocess import INTERPOLATIONS
from infra.errors import OperatorError

SHIPPED = Path(__file__).parents[1] / "models"

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """Where the weights come from: a file of a wheel on the package index.

    Attributes:
        kind: `pypi`.
        requirement: exact pin of the package.
        member: the file's path inside the wheel.
        sha256: of that file, hex.
        url: where people read about it.
        revision: which state of it.
    """

    kind: str
    requirement: str
    member: str
    sha256: str
    url: str
    revision: str


@dataclass(frozen=True)
class Licence:
    """The weights' licence, which goes along into the bundle.

    Attributes:
        spdx: its SPDX identifier.
        member: the licence file's path inside the wheel.
        sha256: of that file, hex.
        text: the licence's full text beside the manifest, for a wheel that holds a mere notice.
    """

    spdx: str
    member: str
    sha256: str
    text: str = ""


@dataclass(frozen=True)
class Graph:
    """The ONNX graph.

    Attributes:
        builder: what makes it from the source file.
        input: the tensor that takes pixels.
        output: the tensor that gives vectors.
    """

    builder: str
    input: str
    output: str


@dataclass(frozen=True)
class Pixels:
    """How the model wants its pixels; see `handler.preprocess.Preprocess`."""

    input_size: int
    resize_mode: str
    interpolation: str
    crop: str
    channel_order: str
    divisor: float
    mean: list[float]
    std: list[float]


@dataclass(frozen=True)
class Canonical:
    """The proof.

    Attributes:
        reference: a JSON file beside the manifest: the test card's vector, made by another implementation.
    """

    reference: str


@dataclass(frozen=True)
class Manifest:
    """A whole manifest, and the file it was read from."""

    path: Path
    name: str
    embedding_dim: int
    source: Source
    licence: Licence
    graph: Graph
    preprocess: Pixels
    canonical: Canonical


def find_manifest(name_or_path: str) -> Path:
    """The manifest of a shipped model's name, or of a path to a `.toml`.

    Raises:
        OperatorError: there is none.
    """
    path = Path(name_or_path) if name_or_path.endswith(".toml") else SHIPPED / f"{name_or_path}.toml"
    if path.is_file():
        return path
    names = ", ".join(sorted(shipped.stem for shipped in SHIPPED.glob("*.toml")))
    raise OperatorError(f"no model {name_or_path!r}; give a path to a manifest (.toml), or one of: {names}")


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
    sections = {"source": Source, "licence": Licence, "graph": Graph, "preprocess": Pixels, "canonical": Canonical}
    values: dict[str, Any] = {"path": path}
    for name, kind in sections.items():
        values[name] = _section(kind, table.pop(name, None), f"{path}: [{name}]")
    manifest = _section(Manifest, {**table, **values}, f"{path}:")
    _check(manifest)
    return manifest


def _section(kind: type[T], table: object, where: str) -> T:
    if not isinstance(table, Mapping):
        raise OperatorError(f"{where} is missing")
    hints = get_type_hints(kind)
    known = fields(kind)  # type: ignore[arg-type] # every caller passes a dataclass
    names = [field.name for field in known]
    for name in [*table, *(field.name for field in known if field.default is MISSING)]:
        if name not in names:
            raise OperatorError(f"{where} has an unknown key {name!r}; known are {', '.join(names)}")
        if name not in table:
            raise OperatorError(f"{where} lacks the key {name!r}")
        if not _fits(table[name], hints[name]):
            raise OperatorError(f"{where} {name} is {table[name]!r}, not of type {_type_name(hints[name])}")
    return kind(**{name: _exact(value, hints[name]) for name, value in table.items()})


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


def _check(manifest: Manifest) -> None:
    allowed = {
        "[source] kind": (manifest.source.kind, ["pypi"]),
        "[graph] builder": (manifest.graph.builder, ["efficientnet-lite0"]),
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
    how = manifest.preprocess
    for where, number in {
        "embedding_dim": manifest.embedding_dim,
        "[preprocess] input_size": how.input_size,
        "[preprocess] divisor": how.divisor,
        "[preprocess] std": min(how.std),
    }.items():
        if number <= 0:
            raise OperatorError(f"{manifest.path}: {where} must be positive")
