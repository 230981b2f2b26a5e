"""What one image takes, as it was measured: `measured.toml`, with its date and where each figure is from."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import OperatorError
from infra.operate.prices import PRICES, Use

FILE = Path(__file__).with_name("measured.toml")


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
        images: by size, smallest first.
        units: of each thing in `PRICES` that an image takes, but for time.
        item_bytes: of its item in the table.
        result_bytes: of its JSON.
    """

    name: str
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


@dataclass(frozen=True)
class Measured:
    """All figures.

    Attributes:
        date: when.
        machine: on what.
        source: how.
        batch_ms: of an invocation, whatever is in it.
        models: by name.
    """

    date: str
    machine: str
    source: str
    batch_ms: float
    models: Mapping[str, ModelFigures]

    def model(self, name: str) -> ModelFigures:
        """The figures of a model.

        Raises:
            OperatorError: it was not measured.
        """
        if name not in self.models:
            raise OperatorError(f"nothing was measured of {name}: --model takes {', '.join(self.models)}")
        return self.models[name]


def load(path: Path = FILE) -> Measured:
    """Read the figures.

    Raises:
        OperatorError: the file is not as it must be.
    """
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
        models = [_model(entry) for entry in fields["model"]]
        return Measured(
            date=fields["date"],
            machine=fields["machine"],
            source=fields["source"],
            batch_ms=float(fields["batch_ms"]),
            models={model.name: model for model in models},
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise OperatorError(
            f"{path.name} holds no figures that can be read ({type(error).__name__}: {error})"
        ) from None


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
        images=tuple(sorted(images, key=lambda image: image.megapixels)),
        units=units,
        item_bytes=int(fields["item_bytes"]),
        result_bytes=int(fields["result_bytes"]),
    )
