import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from handler.images.convert import to_rgb
from handler.images.decode import decode
from handler.images.preprocess import (
    INTERPOLATIONS,
    MAX_RESIZED_PIXELS,
    Preprocess,
    crop_offset,
    resize_and_crop,
    resized_size,
    to_tensor,
)
from tests.support.pictures import encoded, picture

Floats = npt.NDArray[np.float32]
Three = tuple[float, float, float]

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

# Apple's own: neither mean nor standard deviation.
MOBILECLIP = Preprocess(256, 256, "shortest_side", "bilinear", "rgb", 255, (0, 0, 0), (1, 1, 1))
CLIP = Preprocess(224, 224, "shortest_side", "bicubic", "rgb", 255, CLIP_MEAN, CLIP_STD)
DINO = Preprocess(224, 256, "shortest_side", "bicubic", "rgb", 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

SHORT = (1, 2, 3, 5, 8, 13, 31, 64, 100, 199, 200)
LONG = (1, 2, 3, 7, 30, 63, 127, 255, 256, 257, 258, 300, 511, 512, 513, 777, 1000, 1499, 2000, 3001, 4096, 8999, 9000)
SIZES = sorted(
    {
        pair
        for short, long in itertools.product(SHORT, LONG)
        if long <= 60 * short
        for pair in ((short, long), (long, short))
    }
)
MODES = ("RGB", "L", "P", "1", "RGBA", "LA", "CMYK", "YCbCr", "I;16", "I", "F")


def reference(image: Image.Image, how: Preprocess) -> Floats:
    """torchvision's Resize, CenterCrop, ToTensor and Normalize, written out; of a picture of mode RGB."""
    width, height = image.size
    short, long = (width, height) if width <= height else (height, width)
    new_short, new_long = how.resize_size, int(how.resize_size * long / short)
    new = (new_short, new_long) if width <= height else (new_long, new_short)
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    pixels = np.asarray(image.resize(new, filters[how.interpolation]))
    top = round((new[1] - how.input_size) / 2.0)
    left = round((new[0] - how.input_size) / 2.0)
    pixels = pixels[top : top + how.input_size, left : left + how.input_size]
    tensor = np.moveaxis(pixels, 2, 0).astype(np.float32) / np.float32(how.divisor)
    mean, std = (np.array(values, dtype=np.float32)[:, None, None] for values in (how.mean, how.std))
    result: Floats = (tensor - mean) / std
    return result


def in_mode(width: int, height: int, mode: str) -> Image.Image:
    """A picture of a mode, as its decoder would give it."""
    rgb = picture(width, height, seed=width)
    grey = np.asarray(rgb.convert("L"))
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    if mode == "I":
        return Image.fromarray(grey.astype(np.int32))
    if mode == "F":
        return Image.fromarray(grey.astype(np.float32) / 255)
    if mode in {"RGBA", "LA"}:
        solid = rgb.convert(mode)
        solid.putalpha(Image.fromarray(255 - grey))
        return solid
    return rgb.convert(mode)


def decoded(image: Image.Image) -> Image.Image:
    """The picture in RGB as the decoder gives it; integers of 32 bits and floats come in a TIFF."""
    return decode(encoded(image, "TIFF"), 10**8).image if image.mode in {"I", "F"} else to_rgb(image)


def as_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    """What a picture of a mode is in RGB, written out."""
    values = np.asarray(image)
    if image.mode in {"RGB", "P", "CMYK", "YCbCr"}:
        return np.asarray(image.convert("RGB"))
    if image.mode in {"RGBA", "LA"}:
        rgba = np.asarray(image.convert("RGBA")).astype(int)
        alpha = rgba[:, :, 3:]
        over_white: npt.NDArray[np.uint8] = ((rgba[:, :, :3] * alpha + 255 * (255 - alpha)) // 255).astype(np.uint8)
        return over_white
    if image.mode == "1":
        grey = values.astype(np.uint8) * np.uint8(255)
    elif image.mode.startswith("I;16"):
        grey = (values // 256).astype(np.uint8)
    elif image.mode == "F":
        grey = np.rint(values * np.float32(255)).astype(np.uint8)
    else:
        grey = values.astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def test_there_are_enough_sizes() -> None:
    assert len(SIZES) >= 300
    assert {(1, 1), (9000, 200), (200, 9000)} <= set(SIZES)


@pytest.mark.parametrize("chunk", range(8))
def test_a_picture_of_any_size_and_mode_becomes_the_tensor_of_the_reference_bit_by_bit(chunk: int) -> None:
    for number, (width, height) in list(enumerate(SIZES))[chunk::8]:
        mode = MODES[number % len(MODES)]
        how = (MOBILECLIP, MOBILECLIP, CLIP, DINO)[number % 4]
        image = in_mode(width, height, mode)
        tensor = to_tensor(decoded(image), how)
        expected = reference(Image.fromarray(as_rgb(image)), how)
        assert tensor.shape == (1, 3, how.input_size, how.input_size)
        assert tensor.dtype == np.float32
        assert np.array_equal(tensor[0], expected), (width, height, mode, how)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", [MOBILECLIP, CLIP, DINO], ids=["mobileclip", "clip", "dino"])
def test_every_mode_becomes_the_tensor_of_the_reference_in_every_way(mode: str, how: Preprocess) -> None:
    image = in_mode(333, 257, mode)
    assert np.array_equal(to_tensor(decoded(image), how)[0], reference(Image.fromarray(as_rgb(image)), how))


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([MOBILECLIP, CLIP, DINO]))
def test_equals_the_reference_bit_by_bit(width: int, height: int, how: Preprocess) -> None:
    if max(width, height) > 100 * min(width, height):
        width = height
    image = picture(width, height, seed=width)
    assert np.array_equal(to_tensor(image, how)[0], reference(image, how))


def test_mobileclip_takes_pixels_between_0_and_1_and_nothing_else() -> None:
    white, black = Image.new("RGB", (300, 260), "white"), Image.new("RGB", (300, 260), "black")
    assert np.array_equal(to_tensor(white, MOBILECLIP), np.ones((1, 3, 256, 256), np.float32))
    assert np.array_equal(to_tensor(black, MOBILECLIP), np.zeros((1, 3, 256, 256), np.float32))


@given(st.integers(1, 9000), st.integers(1, 9000))
def test_long_side_is_truncated(width: int, height: int) -> None:
    short, long = sorted(resized_size((width, height), 256))
    assert short == 256
    assert long == math.floor(256 * max(width, height) / min(width, height))


@pytest.mark.parametrize(("side", "offset"), [(256, 0), (257, 0), (258, 1), (259, 2), (261, 2)])
def test_halves_are_rounded_to_even(side: int, offset: int) -> None:
    assert crop_offset(side, 256) == offset


def test_bgr_swaps_the_channels() -> None:
    bgr = Preprocess(256, 256, "shortest_side", "bilinear", "bgr", 255, (0, 0, 0), (1, 1, 1))
    image = picture()
    assert np.array_equal(to_tensor(image, MOBILECLIP)[:, ::-1], to_tensor(image, bgr))


@pytest.mark.parametrize(("width", "height"), [(1000, 2), (3, 1600), (600, 1)])
def test_a_strip_that_is_never_resized_whole_comes_out_as_if_it_were(width: int, height: int) -> None:
    image = picture(width, height)
    resized = resized_size(image.size, 256)
    assert resized[0] * resized[1] > MAX_RESIZED_PIXELS
    assert np.abs(to_tensor(image, MOBILECLIP)[0] - reference(image, MOBILECLIP)).max() <= 1.01 / 255


def test_an_extreme_strip_does_not_take_the_memory_of_the_whole() -> None:
    strip = picture(60_000, 2)
    cropped = resize_and_crop(strip, CLIP)
    assert cropped.size == (224, 224)
    middle = np.asarray(strip)[:, 29_999:30_001].mean()
    assert abs(np.asarray(cropped).mean() - middle) < 12


def test_interpolations_are_pillows() -> None:
    assert {name: Image.Resampling[name.upper()].value for name in INTERPOLATIONS} == INTERPOLATIONS
