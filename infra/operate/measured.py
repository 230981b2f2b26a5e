"""What one image takes, as it was measured: `measured.toml`, each model with a date and where its figures are from.

`make bench` writes such a file, with the model that it has measured in place of the old figures.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.common.errors import OperatorError
from infra.operate.prices import PRICES, Use

FILE = Path(__file__).with_name("measured.toml")

_HEAD = """\
# What one image takes with a warm function: read by `python -m infra cost` and `backfill --dry-run`.
# Written by `make bench`: cpu_ms is of one vCPU, wait_ms for S3 and DynamoDB, units as in infra/operate/prices.py.
"""


@dataclass(frozen=True)
class Image:
    """An image of one size, with a warm function.

    Attributes:
        megapixels: its size.
        bytes: of its file.
        cpu_ms: of one vCPU.
        wait_ms: for S3 and DynamoDB, where no other image computes meanwhile.
    """

    megapixels: float
    bytes: int
    cpu_ms: float
    wait_ms: float


@dataclass(frozen=True)
class ModelFigures:
    """Of one model.

    Attributes:
        name: as bundles have it.
        date: when, ISO 8601.
        source: how, and on what.
        images: by size, smallest first.
        units: of each thing in `PRICES` that an image takes, but for time.
        item_bytes: of its item in the table.
        result_bytes: of its JSON.
    """

    name: str
    date: str
    source: str
    images: tuple[Image, ...]
    units: Mapping[str, float]
    item_bytes: int
    result_bytes: int

    def use(self, image: Image) -> Use:
        """What an image of that size takes."""
        return Use(image.cpu_ms / 1000, image.wait_ms / 1000, self.units)

    def nearest(self, size: float) -> Image:
        """The measured image whose file is nearest to that many bytes."""
        return min(self.images, key=lambda image: abs(image.bytes - size))

    @property
    def write_units(self) -> float:
        """Of putting its item."""
        return self.units["dynamodb_write_unit"]


Measured = Mapping[str, ModelFigures]


def load(path: Path = FILE) -> Measured:
    """Read the figures, by model.

    Raises:
        OperatorError: the file is not as it must be.
    """
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
        models = [_model(entry) for entry in fields["model"]]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise OperatorError(
            f"{path.name} holds no figures that can be read ({type(error).__name__}: {error})"
        ) from None
    return {model.name: model for model in models}


def figures_of(measured: Measured, name: str | None) -> ModelFigures:
    """The figures of a model; of the first one where none is named.

    Raises:
        OperatorError: it was not measured.
    """
    found = measured.get(name or next(iter(measured)))
    if found is None:
        raise OperatorError(f"nothing was measured of {name}: --model takes {', '.join(measured)}")
    return found


def _model(fields: Mapping[str, Any]) -> ModelFigures:
    units = {name: float(value) for name, value in fields["units"].items()}
    unknown = units.keys() - PRICES.keys()
    if unknown:
        raise ValueError(f"nothing has the price {', '.join(sorted(unknown))}")
    images = [
        Image(float(one["megapixels"]), int(one["bytes"]), float(one["cpu_ms"]), float(one["wait_ms"]))
        for one in fields["image"]
    ]
    return ModelFigures(
        name=fields["name"],
        date=fields["date"],
        source=fields["source"],
        images=tuple(sorted(images, key=lambda image: image.megapixels)),
        units=units,
        item_bytes=int(fields["item_bytes"]),
        result_bytes=int(fields["result_bytes"]),
    )


def to_toml(measured: Measured) -> str:
    """What `load` reads."""
    return "\n".join([_HEAD, *(line for model in measured.values() for line in _lines(model))])


def _lines(model: ModelFigures) -> Iterator[str]:
    yield "[[model]]"
    for name in ("name", "date", "source"):
        yield f'{name} = "{getattr(model, name)}"'
    yield f"item_bytes = {model.item_bytes}"
    yield f"result_bytes = {model.result_bytes}"
    yield "\n[model.units]"
    yield from (f"{name} = {value:.6g}" for name, value in model.units.items())
    for image in model.images:
        yield "\n[[model.image]]"
        yield f"megapixels = {image.megapixels:g}"
        yield f"bytes = {image.bytes}"
        yield f"cpu_ms = {image.cpu_ms:.1f}"
        yield f"wait_ms = {image.wait_ms:.1f}"
    yield ""
