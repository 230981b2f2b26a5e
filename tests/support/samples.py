"""One good file of every kind that is read: what the corpus cuts, bends and mislabels."""

import functools
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

from tests.support.containers import bmp_rows, bmp_runs, directory_first, exif_text, png, png_chunk, tiff
from tests.support.pictures import card, encoded

pillow_heif.register_heif_opener()

SIZE = (120, 90)
Maker = Callable[[], bytes]

# First column, first row, step of columns, step of rows of each pass (PNG specification, section 8.2).
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def photo() -> Image.Image:
    """Drawn anew each time: saving leaves marks on a picture, and several threads save."""
    return card().resize(SIZE, Image.Resampling.BICUBIC)


def in_mode(mode: str) -> Image.Image:
    grey = photo().convert("L")
    if mode == "I;16":
        return Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    if mode in {"RGBA", "LA"}:
        image = photo().convert(mode)
        image.putalpha(grey)
        return image
    return photo().convert(mode, palette=Image.Palette.ADAPTIVE)


def with_exif(kind: str, block: bytes) -> bytes:
    """The photo with any EXIF block; encoders that would mend it get a good one of the same length first."""
    if kind not in {"AVIF", "HEIF"}:
        return encoded(photo(), kind, exif=block)
    good = exif_text(len(block) - 6)
    data = encoded(photo(), kind, exif=b"Exif\0\0" + good)
    assert good in data
    return data.replace(good, block[6:].ljust(len(good), b"\0"))


def _saved(kind: str, mode: str = "RGB", **options: Any) -> Maker:
    return lambda: encoded(in_mode(mode), kind, **options)


def _moving(kind: str, **options: Any) -> Maker:
    turned = (Image.Transpose.ROTATE_180, Image.Transpose.FLIP_LEFT_RIGHT)
    return lambda: encoded(
        photo(), kind, save_all=True, append_images=[photo().transpose(turn) for turn in turned], **options
    )


def _tiff(compression: str | None, mode: str = "RGB") -> Maker:
    return lambda: directory_first(encoded(in_mode(mode), "TIFF", compression=compression))


def _noise_png(depth: int, colours: int, *, interlaced: bool = False) -> Maker:
    """Depths and passes that Pillow does not write."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colours]
    rng = np.random.default_rng(bits)
    rows = b""
    for left, top, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        width, height = len(range(left, SIZE[0], across)), len(range(top, SIZE[1], down))
        noise = rng.integers(0, 256, (height, 1 + (width * bits + 7) // 8), dtype=np.uint8)
        noise[:, 0] = 0
        rows += noise.tobytes()
    palette = png_chunk(b"PLTE", bytes(range(256)) * 3) if colours == 3 else b""
    return lambda: png(SIZE, (depth, colours), zlib.compress(rows), before=palette, interlaced=interlaced)


def _laid_out_tiff(layout: str) -> bytes:
    """Tiles, planes, the other byte order, 64-bit offsets."""
    picture = photo().resize((128, 64))
    tags = {256: (4, [128]), 257: (4, [64]), 258: (3, [8] * 3), 259: (3, [1]), 262: (3, [2]), 277: (3, [3])}
    parts = [picture.tobytes()]
    if layout == "tiles":
        parts = [zlib.compress(picture.crop((left, 0, left + 64, 64)).tobytes()) for left in (0, 64)]
        tags |= {259: (3, [8]), 322: (3, [64]), 323: (3, [64])}
    elif layout == "planes":
        parts = [band.tobytes() for band in picture.split()]
        tags |= {284: (3, [2])}
    offsets, lengths = (324, 325) if layout == "tiles" else (273, 279)
    tags[offsets] = (4, [sum(map(len, parts[:number])) for number in range(len(parts))])
    tags[lengths] = (4, [len(part) for part in parts])
    return tiff(tags, b"".join(parts), order=">" if layout == "big-endian" else "<", big=layout == "64 bits")


def _float_tiff() -> bytes:
    """Values that no picture has."""
    values = np.asarray(photo().convert("F"), dtype=np.float32).copy()
    values[:9] = np.array([np.nan, np.inf, -np.inf, 1e38, -1e38, 0, -0.0, 255, 256], dtype=np.float32)[:, None]
    return encoded(Image.fromarray(values), "TIFF")


WHOLE: Mapping[str, Maker] = {
    "jpeg": _saved("JPEG", quality=90),
    "jpeg-444": _saved("JPEG", quality=90, subsampling=0),
    "jpeg-progressive": _saved("JPEG", progressive=True),
    "jpeg-grey": _saved("JPEG", "L"),
    "jpeg-grey-progressive": _saved("JPEG", "L", progressive=True),
    "jpeg-cmyk": _saved("JPEG", "CMYK"),
    "jpeg-restarts": _saved("JPEG", restart_marker_rows=1),
    "mpo": _moving("MPO"),
    **{f"png-{mode}": _saved("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")},
    "png-palette-alpha": lambda: encoded(in_mode("P"), "PNG", transparency=bytes(range(0, 250, 5))),
    "png-colour-key": lambda: encoded(photo(), "PNG", transparency=(255, 0, 0)),
    **{f"png-{depth}-{colours}": _noise_png(depth, colours) for depth, colours in ((2, 0), (4, 0), (2, 3), (4, 3))},
    **{f"png-16-{colours}": _noise_png(16, colours) for colours in (0, 2, 4, 6)},
    **{f"png-adam7-{colours}": _noise_png(8, colours, interlaced=True) for colours in (0, 2, 3, 4, 6)},
    "apng": _moving("PNG"),
    "apng-still-apart": _moving("PNG", default_image=True),
    "webp": _saved("WEBP", quality=90),
    "webp-lossless": _saved("WEBP", lossless=True),
    "webp-alpha": _saved("WEBP", "RGBA"),
    "webp-animated": _moving("WEBP"),
    "gif": _saved("GIF", interlace=0),
    "gif-interlaced": _saved("GIF", interlace=1),
    "gif-animated": _moving("GIF", duration=40, disposal=2),
    "gif-grey": _saved("GIF", "L"),
    **{f"bmp-{mode}": _saved("BMP", mode) for mode in ("1", "L", "P", "RGB", "RGBA")},
    "bmp-runs-8": lambda: bmp_runs(SIZE, bmp_rows(SIZE)),
    "bmp-runs-4": lambda: bmp_runs(SIZE, bmp_rows(SIZE), bits=4),
    **{
        f"tiff-{name}": _tiff(compression)
        for name, compression in (
            ("raw", None),
            ("lzw", "tiff_lzw"),
            ("deflate", "tiff_adobe_deflate"),
            ("packbits", "packbits"),
            ("jpeg", "jpeg"),
            ("zstd", "zstd"),
            ("lzma", "lzma"),
        )
    },
    **{f"tiff-{fax}": _tiff(fax, "1") for fax in ("group3", "group4", "tiff_ccitt")},
    **{f"tiff-{mode}": _tiff(None, mode) for mode in ("L", "I;16", "I", "F", "CMYK", "YCbCr", "RGBA", "P")},
    **{f"tiff-{mode}-lzw": _tiff("tiff_lzw", mode) for mode in ("I;16", "F", "CMYK", "LA")},
    **{
        f"tiff-{layout}": functools.partial(_laid_out_tiff, layout)
        for layout in ("tiles", "planes", "big-endian", "64 bits")
    },
    "tiff-odd-floats": _float_tiff,
    "tiff-pages": _moving("TIFF"),
    "avif": _saved("AVIF", quality=90),
    "avif-alpha": _saved("AVIF", "RGBA"),
    "avif-animated": _moving("AVIF"),
    "heic": _saved("HEIF", quality=90),
    "heic-alpha": _saved("HEIF", "RGBA"),
    "heic-several": _moving("HEIF"),
}
