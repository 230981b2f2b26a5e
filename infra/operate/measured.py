"""Measured resource use of one image, from `measured.toml`: for each model with the date and source of the figures.

`make bench` writes a new `measured.toml`, in which its results replace the old figures of the measured model.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.common.errors import OperatorError
from infra.common.text import suggestion
from infra.operate.prices import PRICES, Usage

FILE = Path(__file__).with_name("measured.toml")

_HEAD = """\
# Resource use of one image with a warm function, for `dropvec cost` and `dropvec backfill --dry-run`.
# Written by `make bench`: cpu_ms on one vCPU, wait_ms for S3 and DynamoDB, units as in infra/operate/prices.py.
"""


@dataclass(frozen=True)
class ImageFigures:
    """Resource use of an image of one size, with a warm function.

    Attributes:
        megapixels: size of the image.
        bytes: size of the file.
        cpu_ms: compute time on one vCPU.
        wait_ms: time waiting for S3 and DynamoDB while no other image computes.
    """

    megapixels: float
    bytes: int
    cpu_ms: float
    wait_ms: float


@dataclass(frozen=True)
class ModelFigures:
    """The figures of one model.

    Attributes:
        name: the model's name.
        date: of the measurement, ISO 8601.
        source: how and on which machine it was measured.
        images: figures by image size, smallest first.
        units: units per image of the entries of `PRICES`, except compute time.
        item_bytes: size of an item in the table.
        result_bytes: size of a result JSON.
    """

    name: str
    date: str
    source: str
    images: tuple[ImageFigures, ...]
    units: Mapping[str, float]
    item_bytes: int
    result_bytes: int

    def use(self, image: ImageFigures) -> Usage:
        """Resource use of an image of that size."""
        return Usage(image.cpu_ms / 1000, image.wait_ms / 1000, self.units)

    def nearest(self, size: float) -> ImageFigures:
        """The measured image whose file size in bytes is nearest to `size`."""
        return min(self.images, key=lambda image: abs(image.bytes - size))

    @property
    def write_units(self) -> float:
        """Write units of putting an item."""
        return self.units["dynamodb_write_unit"]


Measured = Mapping[str, ModelFigures]


def load(path: Path = FILE) -> Measured:
    """Read the figures, by model.

    Raises:
        OperatorError: the file cannot be read, or lacks a field.
    """
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
        models = [_model(entry) for entry in fields["model"]]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise OperatorError(f"cannot read the figures in {path.name} ({type(error).__name__}: {error})") from None
    return {model.name: model for model in models}


def figures_of(measured: Measured, name: str | None) -> ModelFigures:
    """The figures of a model; None for the first one.

    Raises:
        OperatorError: the model was not measured.
    """
    found = measured.get(name or next(iter(measured)))
    if found is None:
        raise OperatorError(
            f"no measurements of the model {name}: --model accepts {', '.join(measured)}"
            f"{suggestion(name or '', measured)}"
        )
    return found


def _model(fields: Mapping[str, Any]) -> ModelFigures:
    units = {name: float(value) for name, value in fields["units"].items()}
    unknown = units.keys() - PRICES.keys()
    if unknown:
        raise ValueError(f"no price for {', '.join(sorted(unknown))} in infra/operate/prices.py")
    images = [
        ImageFigures(float(one["megapixels"]), int(one["bytes"]), float(one["cpu_ms"]), float(one["wait_ms"]))
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
    """The figures as TOML, which `load` reads."""
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
