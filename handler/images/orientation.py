"""EXIF orientation (CIPA DC-008, section 4.6.4, tag 0x0112), the only metadata that turns a picture.

XMP may name an orientation, too, often one that was true before an editor turned the pixels; no browser reads it.
"""

import struct

from PIL import Image

from handler.images.tiff_tags import ORIENTATION, first_directory

UPRIGHT = 1
_PREFIX = b"Exif\0\0"

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = frozenset({5, 6, 7, 8})


def orientation_of(exif: bytes) -> int:
    """The orientation in an EXIF block, 1 to 8; 1 where the block has none or is damaged."""
    try:
        found = first_directory(exif.removeprefix(_PREFIX)).number(ORIENTATION, UPRIGHT)
    except (ValueError, struct.error):
        return UPRIGHT
    return found if found in _TURNS else UPRIGHT


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turn a stored picture as its orientation says."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """(width, height) after `upright`."""
    return (size[1], size[0]) if orientation in _SWAPS_SIDES else size
