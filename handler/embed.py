"""Bytes of an image -> vector: the same steps for uploads, direct requests and local files."""

import json
import sys
import traceback
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from handler.errors import DropvecError, InternalError
from handler.images.decode import decode
from handler.images.preprocess import to_tensor
from handler.model.encoder import Encoder
from handler.results.record import ImageEmbedding
from handler.timing import Stopwatch

T = TypeVar("T")


def embed_image(encoder: Encoder, data: bytes, max_pixels: int, watch: Stopwatch) -> ImageEmbedding:
    """Bytes of an image -> pixels -> tensor -> vector, not normalised.

    Raises:
        RejectedError: the bytes are not an image that can be embedded.
        InternalError: the model returned infinities or not-a-numbers.
    """
    preprocess = encoder.spec.preprocess
    picture = decode(data, max_pixels, preprocess.enough)
    watch.lap("decode")
    tensor = to_tensor(picture.image, preprocess, (picture.width, picture.height))
    watch.lap("preprocess")
    vector = encoder.embed(tensor)
    watch.lap("embed")
    if not np.isfinite(vector).all():
        raise InternalError("the model returned a vector with infinities or not-a-numbers")
    return ImageEmbedding(
        vector,
        normalized=False,
        width=picture.width,
        height=picture.height,
        format=picture.format,
        labels=None if encoder.labels is None else encoder.labels.top(vector),
    )


def with_typed_errors(operation: Callable[[], T]) -> T:
    """Run an operation and raise only errors of our own tree, so that a defect fails one file and not its batch.

    Raises:
        DropvecError: as raised, or an `InternalError` whose trace is in the log.
    """
    try:
        return operation()
    except DropvecError:
        raise
    except Exception as error:  # noqa: BLE001 - the only place that catches every exception
        trace = traceback.format_exc()
        sys.stderr.write(json.dumps({"level": "ERROR", "error": str(error), "trace": trace}) + "\n")
        raise InternalError(f"{type(error).__name__}: {error}"[:300]) from None
