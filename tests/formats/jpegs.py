"""JPEG: every process by subsampling by orientation, and files that lack only their end marker."""

import io
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.formats.case import Case, Pixels, grey, picture, shown, smooth
from tests.formats.turned import STORED
from tests.support.containers import exif, jpeg_segment
from tests.support.pictures import encoded

LOSSY = (
    8.0  # mean difference, in levels of 255, that subsampled colours of the test card have; a turned one differs by 60
)
XMP = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'


def cases() -> Iterator[Case]:
    yield from _processes()
    for orientation, turn in STORED.items():
        stored = Image.fromarray(smooth()).transpose(turn)
        data = encoded(stored, "JPEG", quality=95, subsampling=0, exif=exif(orientation))
        yield Case("JPEG with EXIF", f"orientation {orientation}", data, smooth(), LOSSY)
    plain = encoded(Image.fromarray(smooth()), "JPEG", quality=95)
    stale = plain[:2] + jpeg_segment(0xE1, XMP) + plain[2:]
    yield Case("JPEG with a stale XMP orientation", "6", stale, decoded(plain), 0)
    yield from _without_end()
    yield from _refused(plain)


def decoded(data: bytes) -> Pixels:
    """What Pillow decodes of an ordinary JPEG."""
    with Image.open(io.BytesIO(data)) as opened:
        return np.asarray(opened.convert("RGB"))


def _processes() -> Iterator[Case]:
    rgb, single = Image.fromarray(smooth()), Image.fromarray(grey())
    for process, options in (
        ("sequential", {}),
        ("sequential, optimised", {"optimize": True}),
        ("sequential, restarts", {"restart_marker_rows": 1}),
        ("progressive", {"progressive": True}),
    ):
        for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
            data = encoded(rgb, "JPEG", quality=95, subsampling=subsampling, **options)
            yield Case(f"JPEG {process}", subsampling, data, smooth(), LOSSY)
        yield Case(f"JPEG {process}", "grey", encoded(single, "JPEG", quality=95, **options), shown(grey()), 2)
    yield Case("JPEG CMYK", "Adobe", encoded(rgb.convert("CMYK"), "JPEG", quality=95), smooth(), LOSSY)
    yield Case("JPEG lossless", "grey", lossless_jpeg(grey()[..., np.newaxis]), shown(grey()), 0)
    yield Case("JPEG lossless", "RGB", lossless_jpeg(picture()), picture(), 0)
    yield from _arithmetic(rgb)


def _arithmetic(rgb: Image.Image) -> Iterator[Case]:
    """By libjpeg-turbo's command, where it is installed."""
    command = shutil.which("cjpeg")
    if command is None:
        return
    for process, options in (
        ("arithmetic", ["-arithmetic"]),
        ("progressive arithmetic", ["-arithmetic", "-progressive"]),
    ):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "picture.ppm"
            rgb.save(source)
            arguments = [command, "-quality", "95", *options, str(source)]
            data = subprocess.run(arguments, capture_output=True, check=True).stdout
        yield Case(f"JPEG {process}", "4:2:0", data, smooth(), LOSSY)


def _without_end() -> Iterator[Case]:
    rgb = Image.fromarray(smooth())
    for process, options in (
        ("sequential", {}),
        ("progressive", {"progressive": True}),
        ("optimised", {"optimize": True}),
    ):
        whole = encoded(rgb, "JPEG", quality=95, **options)
        for missing in (1, 2):
            yield Case("JPEG without its end marker", f"{process}, {missing}", whole[:-missing], decoded(whole), 0)
        cut = whole[: len(whole) * 3 // 4]
        yield Case("JPEG cut short", process, cut, None, refused="does not decode")


def _refused(plain: bytes) -> Iterator[Case]:
    at = plain.index(b"\xff\xc0")
    for marker, name in (
        (0xC5, "hierarchical sequential"),
        (0xC7, "hierarchical lossless"),
        (0xCB, "lossless arithmetic"),
    ):
        data = plain[: at + 1] + bytes([marker]) + plain[at + 2 :]
        yield Case("JPEG of processes that are not decoded", name, data, None, refused=name)
    deep = plain[: at + 4] + b"\x0c" + plain[at + 5 :]
    yield Case("JPEG of processes that are not decoded", "12 bits", deep, None, refused="12 bits")


def lossless_jpeg(samples: npt.NDArray[np.uint8]) -> bytes:
    """ITU T.81, annex H, predictor 1 (the sample on the left), for 1 or 3 components of 8 bits, not subsampled."""
    height, width, channels = samples.shape
    # One Huffman table for all: category n has a code of 4 bits, n itself, but the last ones are longer.
    lengths = [0, 0, 0, 9] + [0] * 12
    table = jpeg_segment(0xC4, bytes([0, *lengths, *range(9)]))
    components = b"".join(bytes([number + 1, 0x11, 0]) for number in range(channels))
    # RGB as it is: Adobe's segment says that there is no colour transform.
    adobe = jpeg_segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, 0)) if channels == 3 else b""
    frame = jpeg_segment(0xC3, struct.pack(">BHHB", 8, height, width, channels) + components)
    chosen = b"".join(bytes([number + 1, 0]) for number in range(channels))
    scan = jpeg_segment(0xDA, bytes([channels]) + chosen + bytes([1, 0, 0]))
    bits = "".join(_lossless_code(int(difference)) for difference in _differences(samples).reshape(-1))
    bits += "1" * (-len(bits) % 8)
    body = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    return b"\xff\xd8" + adobe + table + frame + scan + body + b"\xff\xd9"


def _differences(samples: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Each sample less the one on its left; in the first column less the one above; the very first less 128."""
    wide = samples.astype(int)
    predicted = np.empty_like(wide)
    predicted[:, 1:] = wide[:, :-1]
    predicted[1:, 0] = wide[:-1, 0]
    predicted[0, 0] = 128
    differences: npt.NDArray[np.int64] = wide - predicted
    return differences


def _lossless_code(difference: int) -> str:
    category = abs(difference).bit_length()
    value = difference if difference > 0 else difference + (1 << category) - 1
    return f"{category:04b}" + (f"{value:0{category}b}" if category else "")
