import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from handler.preprocess import Preprocess, crop_offset, resize_and_crop, resized_size, to_tensor
from tests.pictures import picture

CLIP = Preprocess(32, "shortest_side", "bicubic", "rgb", 255, (0.48, 0.46, 0.41), (0.27, 0.26, 0.28))


def reference(image: Image.Image, how: Preprocess) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """torchvision's Resize, CenterCrop, ToTensor and Normalize, written out."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    new_long = int(how.input_size * long / short)
    new = (how.input_size, new_long) if width <= height else (new_long, how.input_size)
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    pixels = np.asarray(image.resize(new, filters[how.interpolation]))
    top = round((new[1] - how.input_size) / 2.0)
    left = round((new[0] - how.input_size) / 2.0)
    pixels = pixels[top : top + how.input_size, left : left + how.input_size]
    tensor = np.moveaxis(pixels, 2, 0).astype(np.float32) / np.float32(how.divisor)
    mean, std = (np.array(values, dtype=np.float32)[:, None, None] for values in (how.mean, how.std))
    return (tensor - mean) / std


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(["bilinear", "bicubic"]))
def test_equals_the_reference_bit_by_bit(width: int, height: int, interpolation: str) -> None:
    how = Preprocess(32, "shortest_side", interpolation, "rgb", 255, CLIP.mean, CLIP.std)
    image = picture(width, height, seed=width)
    tensor = to_tensor(image, how)
    assert tensor.shape == (1, 3, 32, 32)
    assert tensor.dtype == np.float32
    assert np.array_equal(tensor[0], reference(image, how))


@given(st.integers(1, 9000), st.integers(1, 9000))
def test_long_side_is_truncated(width: int, height: int) -> None:
    short, long = sorted(resized_size((width, height), 256))
    assert short == 256
    assert long == math.floor(256 * max(width, height) / min(width, height))


@pytest.mark.parametrize(("side", "offset"), [(256, 0), (257, 0), (258, 1), (259, 2), (261, 2)])
def test_halves_are_rounded_to_even(side: int, offset: int) -> None:
    assert crop_offset(side, 256) == offset


def test_bgr_swaps_the_channels() -> None:
    rgb = Preprocess(32, "shortest_side", "bilinear", "rgb", 255, (0, 0, 0), (1, 1, 1))
    bgr = Preprocess(32, "shortest_side", "bilinear", "bgr", 255, (0, 0, 0), (1, 1, 1))
    image = picture()
    assert np.array_equal(to_tensor(image, rgb)[:, ::-1], to_tensor(image, bgr))


def test_an_extreme_strip_does_not_take_the_memory_of_the_whole() -> None:
    strip = picture(60_000, 2)
    cropped = resize_and_crop(strip, 224, Image.Resampling.BICUBIC)
    assert cropped.size == (224, 224)
    middle = np.asarray(strip)[:, 29_999:30_001].mean()
    assert abs(np.asarray(cropped).mean() - middle) < 12
