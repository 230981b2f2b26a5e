"""Bytes of an image -> vector: the same steps for uploads, direct requests and local files."""

import numpy as np

from handler.errors import InternalError
from handler.images.decode import decode
from handler.images.preprocess import to_tensor
from handler.model.encoder import Encoder
from handler.results.record import ImageEmbedding
from handler.timing import Stopwatch


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
        norm=float(np.linalg.norm(vector.astype(np.float64))),
        width=picture.width,
        height=picture.height,
        format=picture.format,
        labels=None if encoder.labels is None else encoder.labels.top(vector),
    )
