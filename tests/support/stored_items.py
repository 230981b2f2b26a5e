"""Items of the table in wire form, made for tests of what reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from handler.results.item import StoredItem, read_item

FINGERPRINT, OTHER_FINGERPRINT = "0123456789abcdef" * 4, "fedcba9876543210" * 4
UPDATED_AT = "2026-11-29T12:30:15.000250Z"

Labels = Sequence[tuple[str, float]]
Numbers = Sequence[float] | npt.NDArray[np.floating]


@dataclass(frozen=True)
class Made:
    """What an item is made of; all have defaults."""

    source: str = "s3://uploads/photos/a.jpg"
    status: str = "success"
    etag: str | None = "e1"
    fingerprint: str = FINGERPRINT
    vector: Numbers = (1.0, 0.0, 0.0)
    dtype: Literal["float32", "float16"] = "float32"
    labels: Labels | None = None
    touched_at: str | None = None

    def wire(self) -> dict[str, Any]:
        """In DynamoDB's wire form, as the embedding function writes it."""
        texts = {
            "source": self.source,
            "status": self.status,
            "etag": self.etag,
            "touched_at": self.touched_at,
            "updated_at": UPDATED_AT,
            "model": "tiny",
        }
        found: dict[str, Any] = {name: {"S": text} for name, text in texts.items() if text is not None}
        if self.status == "error":
            found |= {"error_code": {"S": "corrupt_image"}, "fingerprint": {"S": self.fingerprint}}
        return found | (self._success() if self.status == "success" else {})

    def _success(self) -> dict[str, Any]:
        names = {"float32": "<f4", "float16": "<f2"}
        labels = [{"M": {"label": {"S": name}, "score": {"N": str(score)}}} for name, score in self.labels or ()]
        return {
            "fingerprint": {"S": self.fingerprint},
            "result": {"S": f"s3://results/{self.source.removeprefix('s3://')}/{self.etag}.json"},
            "embedding": {"B": np.array(self.vector, names[self.dtype]).tobytes()},
            "embedding_dtype": {"S": self.dtype},
            "embedding_dim": {"N": str(len(self.vector))},
            "normalized": {"BOOL": True},
            "width": {"N": "640"},
            "height": {"N": "480"},
            "bytes": {"N": "12345"},
            "format": {"S": "jpeg"},
            **({} if self.labels is None else {"labels": {"L": labels}}),
        }

    def item(self) -> StoredItem:
        """As it is read."""
        return read_item(self.wire())


def wire_of(made: Made | None) -> dict[str, Any] | None:
    """An item in wire form; None where there is none."""
    return None if made is None else made.wire()


def item_of(made: Made | None) -> StoredItem | None:
    """An item as it is read; None where there is none."""
    return None if made is None else made.item()
