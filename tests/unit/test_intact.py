import io
import tracemalloc
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handler.errors import RejectedError
from handler.images.decode import decode, sniff
from handler.images.first_frame import first_picture
from handler.images.libtiff import forget_errors, raise_for_errors
from tests.support.bombs import jpeg_with, png_with
from tests.support.containers import exif, jpeg_segment, png_chunk
from tests.support.corpus import cut, with_trash
from tests.support.pictures import encoded
from tests.support.samples import WHOLE, photo, with_exif

OWN = [name for name in WHOLE if not name.startswith(("heic", "avif"))]


def opened(data: bytes) -> tuple[Image.Image, int]:
    """What Pillow makes of a file: its pixels, and its orientation."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.copy(), image.getexif().get(0x0112, 1)


@pytest.mark.parametrize("name", OWN)
def test_what_is_cut_out_is_the_same_picture(name: str) -> None:
    data = WHOLE[name]()
    (before, _), (after, _) = opened(data), opened(first_picture(data, sniff(data) or ""))
    assert before.mode == after.mode
    assert before.info.get("transparency") == after.info.get("transparency")
    assert np.array_equal(np.asarray(before), np.asarray(after), equal_nan=before.mode == "F")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_is_cut_out_is_turned_as_before(kind: str) -> None:
    data = with_exif(kind, exif(6))
    assert opened(first_picture(data, kind.lower()))[1] == 6


@pytest.mark.parametrize(
    "data",
    [
        png_with(png_chunk(b"zTXt", b"Raw profile type exif\0\0" + b"x\x9c\x03\0\0\0\0\1")),
        png_with(png_chunk(b"iCCP", b"p\0\0broken")),
        jpeg_with(jpeg_segment(0xE2, b"ICC_PROFILE\0\1\1" + b"x" * 999)),
        jpeg_with(jpeg_segment(0xFE, b"comment") + b"\0\0junk between segments\0\xff\xff\xff"),
        jpeg_with(jpeg_segment(0xFE, b"comment") * 50),
    ],
)
def test_nobody_asks_for_the_rest(data: bytes) -> None:
    assert decode(data, 10**6).image.size == photo().size


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {"quality": 95}), ("JPEG", {"progressive": True}), ("PNG", {}), ("GIF", {})]
)
def test_cutting_out_takes_no_more_memory_than_what_is_cut_out(kind: str, options: dict[str, Any]) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (600, 800), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind, **options)
    tracemalloc.start()
    try:
        size = len(first_picture(data, kind.lower()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(data) * 0.99 < size <= peak < 1.1 * size


@pytest.mark.parametrize("name", [name for name in WHOLE if name.startswith("jpeg") and "progressive" not in name])
def test_a_jpeg_never_lacks_more_than_its_last_block(name: str) -> None:
    """Cut byte by byte and ended: the marker must not make up for the data."""
    data = WHOLE[name]()
    whole = np.asarray(decode(data, 10**6).image).astype(int)
    for missing in range(3, 60):
        try:
            found = np.asarray(decode(data[:-missing] + b"\xff\xd9", 10**6).image)
        except RejectedError as error:
            assert error.code == "corrupt_image"
            continue
        assert (np.abs(found - whole).max(axis=-1) > 0).sum() <= 16 * 16


@pytest.mark.parametrize("name", [name for name in WHOLE if name.startswith("jpeg")])
def test_a_jpeg_without_its_end_marker_is_never_filled_in(name: str) -> None:
    data = WHOLE[name]()
    whole = np.asarray(decode(data, 10**6).image)
    for missing in range(1, 40):
        try:
            found = np.asarray(decode(data[:-missing], 10**6).image)
        except RejectedError as error:
            assert error.code == "corrupt_image"
        else:
            assert missing <= 2
            assert np.array_equal(found, whole)


def test_a_progressive_jpeg_needs_all_its_scans() -> None:
    data = WHOLE["jpeg-progressive"]()
    last = data.rindex(b"\xff\xda")
    tables = data.rindex(b"\xff\xc4", 0, last)
    with pytest.raises(ValueError, match="scans"):
        first_picture(data[:tables] + b"\xff\xd9", "jpeg")


def test_libtiff_says_nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(WHOLE["tiff-group4"]())
    data[len(data) // 2] ^= 0xFF
    for damaged in (bytes(data), cut("tiff-lzw", 0.7), cut("tiff-lzw", 0.02), with_trash("tiff-jpeg")):
        try:
            decode(damaged, 10**6)
        except RejectedError as error:
            assert error.code == "corrupt_image"
    assert capfd.readouterr().err == ""


def test_an_error_of_one_file_is_not_the_next_one_s() -> None:
    with pytest.raises(RejectedError, match="tiff"):
        decode(cut("tiff-group4", 0.7), 10**6)
    forget_errors()
    raise_for_errors()
    assert decode(WHOLE["tiff-group4"](), 10**6).format == "tiff"
