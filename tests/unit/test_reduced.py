"""Large JPEGs, decoded no larger than the model has use for."""

import io

import numpy as np
import pytest
from PIL import Image

from handler.errors import RejectedError
from handler.images.decode import decode
from handler.images.preprocess import Preprocess, crop_offset, resized_size, to_tensor
from handler.model.encoder import Encoder, load_encoder
from handler.model.self_check import cosine_of
from infra.bake.reuse import bundle_for
from tests.support.pictures import encoded, picture

PIXELS = 10**8
HOW = Preprocess(64, 64, "shortest_side", "bilinear", "rgb", 255, (0, 0, 0), (1, 1, 1))


def photo(width: int, height: int) -> Image.Image:
    """Smooth, with noise in every pixel."""
    noise = np.random.default_rng(width).integers(-20, 20, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(picture(width, height)).astype(int) + noise, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(bundle_for("efficientnet-lite0"))


@pytest.mark.parametrize(
    ("size", "decoded"),
    [
        ((2048, 1536), (512, 384)),
        ((1023, 800), (512, 400)),  # half a pixel more counts as one
        ((511, 2000), (511, 2000)),  # half would be one short
        ((300, 200), (300, 200)),
        ((9000, 600), (4500, 300)),
    ],
)
def test_the_shortest_side_keeps_four_pixels_for_each_that_the_model_sees(
    size: tuple[int, int], decoded: tuple[int, int]
) -> None:
    found = decode(encoded(picture(*size), "JPEG"), PIXELS, HOW.enough)
    assert HOW.enough == 256
    assert found.image.size == decoded
    assert (found.width, found.height) == size


def test_only_jpegs_are_reduced() -> None:
    for kind in ("PNG", "WEBP", "TIFF"):
        assert decode(encoded(picture(600, 520), kind), PIXELS, 100).image.size == (600, 520)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_reduced_and_turned(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode(encoded(picture(1600, 1200), "JPEG", exif=exif), PIXELS, HOW.enough)
    shown = (1600, 1200) if orientation < 5 else (1200, 1600)
    assert (found.width, found.height) == shown
    assert found.image.size == (shown[0] // 4, shown[1] // 4)


@pytest.mark.parametrize("size", [(2001, 1333), (1333, 2001), (1025, 1031), (3001, 999)])
def test_the_crop_is_that_of_the_whole_picture(size: tuple[int, int]) -> None:
    # A white rectangle exactly where the crop of the whole picture is: nothing around it may be seen.
    resized = resized_size(size, HOW.resize_size)
    scale = [size[axis] / resized[axis] for axis in (0, 1)]
    start = [crop_offset(resized[axis], HOW.input_size) * scale[axis] for axis in (0, 1)]
    image = Image.new("RGB", size, "black")
    room = 4 * max(scale)  # the filter's reach
    box = [int(start[0] - room), int(start[1] - room)]
    box += [int(start[axis] + HOW.input_size * scale[axis] + room) for axis in (0, 1)]
    image.paste("white", (box[0], box[1], box[2], box[3]))
    found = decode(encoded(image, "JPEG", quality=95), PIXELS, HOW.enough)
    tensor = to_tensor(found.image, HOW, (found.width, found.height))
    assert found.image.size != size
    assert tensor.min() > 0.98


@pytest.mark.parametrize("size", [(2400, 1800), (1800, 2400), (3000, 2000)])
@pytest.mark.parametrize("progressive", [False, True])
def test_the_vector_stays_the_same(encoder: Encoder, size: tuple[int, int], *, progressive: bool) -> None:
    data = encoded(photo(*size), "JPEG", quality=90, progressive=progressive)
    how = encoder.spec.preprocess
    vectors = []
    for enough in (None, how.enough):
        found = decode(data, PIXELS, enough)
        vectors.append(encoder.embed(to_tensor(found.image, how, (found.width, found.height))))
    assert found.image.size != size
    assert cosine_of(*vectors) >= 0.999


def _noisy(level: int, deviation: float) -> Image.Image:
    """A plain sheet under a sensor's noise, with something on it."""
    noise = np.random.default_rng(level).normal(level, deviation, (1800, 2400, 3))
    sheet = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))
    sheet.paste(photo(900, 700), (700, 500))
    return sheet


@pytest.mark.parametrize(
    ("level", "deviation", "is_reduced"),
    [(252, 6, False), (2, 6, False), (255, 0, True), (128, 6, True)],
)
def test_where_noise_is_clipped_nothing_is_reduced(
    encoder: Encoder, level: int, deviation: float, *, is_reduced: bool
) -> None:
    data = encoded(_noisy(level, deviation), "JPEG", quality=90)
    how = encoder.spec.preprocess
    whole, found = (decode(data, PIXELS, enough) for enough in (None, how.enough))
    assert (found.image.size != whole.image.size) == is_reduced
    assert (found.width, found.height) == (2400, 1800)
    vectors = [encoder.embed(to_tensor(each.image, how, (2400, 1800))) for each in (whole, found)]
    assert cosine_of(*vectors) >= 0.999


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_are_looked_at_too(mode: str) -> None:
    data = encoded(_noisy(255, 6).convert(mode), "JPEG", quality=90)
    assert decode(data, PIXELS, HOW.enough).image.size == (2400, 1800)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_file_is_refused_at_any_scale(kept: float, *, progressive: bool) -> None:
    buffer = io.BytesIO()
    photo(1600, 1200).save(buffer, "JPEG", progressive=progressive)
    data = buffer.getvalue()
    with pytest.raises(RejectedError, match="does not decode"):
        decode(data[: int(len(data) * kept)], PIXELS, HOW.enough)
