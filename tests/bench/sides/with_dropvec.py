"""dropvec's side of every comparison; the only module of the benchmarks that uses its internal functions."""

from functools import partial

from handler import app
from handler.embed import embed_image
from handler.images.decode import decode
from handler.images.preprocess import Tensor, to_tensor
from handler.metrics import Meter
from handler.model.encoder import Vector
from handler.model.spec import ModelSpec
from handler.pipeline import Pipeline
from handler.timing import Stopwatch

MAX_PIXELS = 100_000_000

handler = app.handler
serve = partial(app.serve, meter=Meter("dropvec"))


def pipeline() -> Pipeline:
    """The pipeline that the cold start created."""
    return app._pipeline  # noqa: SLF001 - creating another one would be measured


def embed(data: bytes) -> Vector:
    """Bytes of an image to its vector, not normalised."""
    return embed_image(pipeline().encoder, data, MAX_PIXELS, Stopwatch()).vector


def tensor(data: bytes, spec: ModelSpec) -> Tensor:
    """Bytes of an image to the model's input."""
    picture = decode(data, MAX_PIXELS, spec.preprocess.enough)
    return to_tensor(picture.image, spec.preprocess, (picture.width, picture.height))
