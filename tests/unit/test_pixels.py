import io
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from handler.errors import RejectedError
from handler.images.convert import to_rgb
from handler.images.decode import decode, sniff
from tests.support.containers import black_png, exif
from tests.support.pictures import encoded, picture

PIXELS = 1_000_000
KINDS = {
    "JPEG": "jpeg",
    "PNG": "png",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp",
    "TIFF": "tiff",
    "AVIF": "avif",
    "HEIF": "heic",
}
pillow_heif.register_heif_opener()


def refused(data: bytes, max_pixels: int = PIXELS) -> str:
    with pytest.raises(RejectedError) as caught:
        decode(data, max_pixels)
    assert "\n" not in str(caught.value)
    return caught.value.code


@pytest.mark.parametrize(("kind", "name"), KINDS.items())
def test_every_format_is_known_by_its_bytes(kind: str, name: str) -> None:
    found = decode(encoded(picture(64, 48), kind), PIXELS)
    assert (found.format, found.width, found.height, found.image.mode) == (name, 64, 48, "RGB")


@pytest.mark.parametrize(
    "data", [b"GIF", b"<svg/>", b"%PDF-1.7", b"<!doctype html>", b"\0" * 50, b"\0\0\0\x18ftypisom" + b"\0" * 40]
)
def test_anything_else_is_unsupported(data: bytes) -> None:
    assert refused(data) == "unsupported_format"


@pytest.mark.parametrize("kind", KINDS)
def test_half_a_file_is_corrupt(kind: str) -> None:
    data = encoded(picture(200, 150, seed=3), kind)
    assert refused(data[: len(data) // 2]) == "corrupt_image"


def test_pixels_are_counted_before_decoding() -> None:
    header_only = black_png((30_000, 30_000))[:64]
    assert refused(header_only) == "too_many_pixels"


TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_orientation_is_applied_once(kind: str, orientation: int) -> None:
    upright = picture(64, 48)
    stored = upright.transpose(TURNED[orientation]) if orientation > 1 else upright
    options = {"tiffinfo": {0x0112: orientation}} if kind == "TIFF" else {"exif": exif(orientation)}
    found = decode(encoded(stored, kind, **options), PIXELS)
    assert (found.width, found.height) == (64, 48)
    difference = np.abs(np.asarray(found.image, dtype=float) - np.asarray(upright, dtype=float)).mean()
    assert difference == 0 if kind in {"PNG", "TIFF"} else difference < 10


def test_a_heic_of_noise_counts_more() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    smooth, noisy = (encoded(image, "HEIF", quality=80) for image in (picture(200, 200), Image.fromarray(noise)))
    assert decode(smooth, 2 * 200 * 200).width == 200
    assert refused(noisy, 4 * 200 * 200 - 1) == "too_many_pixels"
    assert decode(noisy, 4 * 200 * 200).width == 200


def test_damaged_exif_does_not_cost_the_picture() -> None:
    data = encoded(picture(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    assert decode(data, PIXELS).width == 64


GREY = picture().convert("L")
MODES = {
    # mode: (the picture in that mode, what it should look like, mean error allowed)
    "1": (GREY.point(lambda value: 255 * (value > 127)).convert("1"), GREY.point(lambda value: 255 * (value > 127)), 0),
    "L": (GREY, GREY, 0),
    "LA": (GREY.convert("LA"), GREY, 0),
    "I;16": (Image.fromarray(np.asarray(GREY).astype(np.uint16) * 256), GREY, 0),
    "RGBA": (picture().convert("RGBA"), picture(), 0),
    "CMYK": (picture().convert("CMYK"), picture(), 0),
    "YCbCr": (picture().convert("YCbCr"), picture(), 2),
    "LAB": (picture().convert("LAB"), picture(), 4),
    "HSV": (picture().convert("HSV"), picture(), 4),
    "P": (picture().convert("P", palette=Image.Palette.ADAPTIVE), picture(), 12),
    "PA": (picture().convert("P", palette=Image.Palette.ADAPTIVE).convert("PA"), picture(), 12),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_becomes_rgb(mode: str) -> None:
    source, expected, tolerance = MODES[mode]
    found = to_rgb(source)
    assert found.mode == "RGB"
    difference = np.asarray(found, dtype=float) - np.asarray(expected.convert("RGB"), dtype=float)
    assert np.abs(difference).mean() <= tolerance


def test_transparency_shows_white() -> None:
    clear = Image.new("RGBA", (8, 8), (10, 20, 30, 0))
    assert to_rgb(clear).getpixel((4, 4)) == (255, 255, 255)
    with_colour_key = Image.new("RGB", (8, 8), (1, 2, 3))
    found = decode(encoded(with_colour_key, "PNG", transparency=(1, 2, 3)), PIXELS)
    assert found.image.getpixel((4, 4)) == (255, 255, 255)


def test_sixteen_bits_keep_the_upper_eight() -> None:
    values = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    found = decode(encoded(Image.fromarray(values), "PNG"), PIXELS)
    assert np.array_equal(np.asarray(found.image)[:, :, 0], (values >> 8).astype(np.uint8))


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "PNG", "TIFF", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert decode(data, PIXELS).image.getpixel((4, 4)) == (255, 0, 0), kind


@settings(deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.data())
def test_damage_is_a_picture_or_a_code_and_never_noise(kind: str, data: st.DataObject) -> None:
    file = bytearray(encoded(picture(40, 30), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(file) - 1))
        file[at] ^= data.draw(st.integers(1, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            assert decode(bytes(file), PIXELS).image.mode == "RGB"
        except RejectedError as error:
            assert error.code in {"corrupt_image", "unsupported_format", "too_many_pixels"}


@given(st.binary(max_size=80))
def test_sniffing_never_fails(data: bytes) -> None:
    assert sniff(data) in {None, "heif", *KINDS.values()}


def test_the_name_is_never_asked() -> None:
    named = io.BytesIO(encoded(picture(), "PNG"))
    named.name = "photo.jpg"
    assert decode(named.getvalue(), PIXELS).format == "png"


def test_large_pictures_are_converted_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {mode: to_rgb(source) for mode, (source, _, _) in MODES.items()}
    monkeypatch.setattr("handler.images.convert._STRIP_PIXELS", 640)
    for mode, (source, _, _) in MODES.items():
        assert np.array_equal(np.asarray(to_rgb(source)), np.asarray(whole[mode])), mode


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_process_knows_every_format(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "photo"
    file.write_bytes(encoded(picture(), kind))
    code = f"from handler.images.decode import decode; print(decode(open({str(file)!r}, 'rb').read(), 10**6).format)"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == KINDS[kind]
