import io
import tracemalloc
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handler.errors import RejectedError
from handler.images import tiff_tags
from handler.images.decode import decode, sniff
from handler.images.gif import first_gif
from handler.images.jpeg import first_jpeg
from handler.images.orientation import orientation_of
from handler.images.png import first_png
from handler.images.webp import first_webp
from tests.support.bombs import jpeg_with, png_with
from tests.support.containers import exif, jpeg_segment, png_chunk
from tests.support.corpus import cut, with_trash
from tests.support.pictures import encoded
from tests.support.samples import WHOLE, photo, with_exif


def first_frame(data: bytes) -> tuple[bytes, bytes]:
    """(the file of the first picture alone, its EXIF block)."""
    name = sniff(data)
    if name == "jpeg":
        jpeg = first_jpeg(data)
        return jpeg.data, jpeg.exif
    if name == "png":
        frame, _ = first_png(data)
    elif name == "gif":
        frame, _ = first_gif(data)
    elif name == "webp":
        frame = first_webp(data)
    else:
        return tiff_tags.with_directory(data, tiff_tags.read_directory(data)), b""
    return frame.data, frame.exif


CUT_OUT = [name for name in WHOLE if name.startswith(("jpeg", "mpo", "png", "apng", "gif", "webp", "tiff"))]


def opened(data: bytes) -> Image.Image:
    """What Pillow decodes."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.copy()


@pytest.mark.parametrize("name", CUT_OUT)
def test_the_first_frame_cut_out_decodes_to_the_same_pixels(name: str) -> None:
    data = WHOLE[name]()
    before, after = opened(data), opened(first_frame(data)[0])
    assert before.mode == after.mode
    if name != "png-colour-key":
        assert before.info.get("transparency") == after.info.get("transparency")
    assert np.array_equal(np.asarray(before), np.asarray(after), equal_nan=before.mode == "F")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_first_frame_keeps_its_orientation(kind: str) -> None:
    frame, block = first_frame(with_exif(kind, exif(6)))
    assert orientation_of(block) == 6
    assert not opened(frame).getexif()


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
def test_damage_that_no_pixel_depends_on_does_not_matter(data: bytes) -> None:
    assert decode(data, 10**6).image.size == photo().size


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {"quality": 95}), ("JPEG", {"progressive": True}), ("PNG", {}), ("GIF", {})]
)
def test_cutting_out_takes_no_more_memory_than_what_is_cut_out(kind: str, options: dict[str, Any]) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (600, 800), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind, **options)
    tracemalloc.start()
    try:
        size = len(first_frame(data)[0])
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
        first_jpeg(data[:tables] + b"\xff\xd9")


def test_libtiff_prints_nothing_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(WHOLE["tiff-group4"]())
    data[len(data) // 2] ^= 0xFF
    for damaged in (bytes(data), cut("tiff-lzw", 0.7), cut("tiff-lzw", 0.02), with_trash("tiff-jpeg")):
        try:
            decode(damaged, 10**6)
        except RejectedError as error:
            assert error.code == "corrupt_image"
    assert capfd.readouterr().err == ""


def test_an_error_in_one_file_does_not_affect_the_next_one() -> None:
    with pytest.raises(RejectedError, match="tiff"):
        decode(cut("tiff-group4", 0.7), 10**6)
    assert decode(WHOLE["tiff-group4"](), 10**6).format == "tiff"
