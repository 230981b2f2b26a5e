"""The same photo, however it is turned or packed, gets the same vector: with the embedded model itself."""

import functools
from itertools import combinations
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from handler.embed import embed_image
from handler.model.encoder import Encoder, Vector, load_encoder
from handler.timing import Stopwatch
from infra.bake.reuse import bundle_for
from infra.local.images import samples
from tests.support.pictures import encoded

pillow_heif.register_heif_opener()

PHOTOS = ["astronaut.png", "chelsea.png", "coffee.png"]
# EXIF orientation -> how the stored picture is turned away from what it shows.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
PACKINGS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": 90},
    "WEBP": {"quality": 90},
    "AVIF": {"quality": 90},
    "HEIF": {"quality": 90},
}


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(bundle_for("efficientnet-lite0"))


@functools.cache
def photo(name: str) -> Image.Image:
    path = next(upload.path for upload in samples() if upload.key == name)
    with Image.open(path) as opened:
        return opened.convert("RGB")


def vector(data: bytes, encoder: Encoder) -> Vector:
    found = embed_image(encoder, data, 10_000_000, Stopwatch()).vector
    unit: Vector = found / np.linalg.norm(found)
    return unit


@pytest.mark.parametrize("name", PHOTOS)
def test_the_eight_orientations_of_a_photo_agree(name: str, encoder: Encoder) -> None:
    # Subsampled colours and blocks cut by the edge are not the same from both sides; that is the encoder's doing.
    width, height = (side // 16 * 16 for side in photo(name).size)
    whole_blocks = photo(name).crop((0, 0, width, height))
    upright = vector(encoded(whole_blocks, "JPEG", quality=90, subsampling=0), encoder)
    cosines = {}
    for orientation, turn in STORED.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned = encoded(whole_blocks.transpose(turn), "JPEG", quality=90, subsampling=0, exif=exif)
        cosines[orientation] = float(upright @ vector(turned, encoder))
    assert min(cosines.values()) >= 0.999, cosines


@pytest.mark.parametrize("name", PHOTOS)
def test_a_photo_in_every_format_agrees(name: str, encoder: Encoder) -> None:
    found = {kind: vector(encoded(photo(name), kind, **options), encoder) for kind, options in PACKINGS.items()}
    cosines = {f"{one} {other}": float(found[one] @ found[other]) for one, other in combinations(found, 2)}
    assert min(cosines.values()) >= 0.99, cosines
