"""A small JPEG of a picture."""

import io

from handler.images.decode import decode


def make_thumbnail(data: bytes, max_pixels: int, side: int, quality: int) -> bytes:
    """The picture of a file as a JPEG whose longest side has at most so many pixels, upright and without metadata.

    Args:
        data: the file.
        max_pixels: larger pictures are refused.
        side: pixels.
        quality: of the JPEG, 1 to 95.

    Raises:
        RejectedError: the bytes are not an image that dropvec reads, or too large.
    """
    image = decode(data, max_pixels, side).image
    image.thumbnail((side, side))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()
