"""Bytes -> upright RGB: the decode policy. `docs/formats.md` has it whole, with the source of each rule.

| what | how |
|---|---|
| format | sniffed from the first bytes; the file's name and content type are never looked at |
| size | pixels are counted from the header and refused before anything is decoded |
| detail | a JPEG that is much larger than the model's input is decoded at 1/2, 1/4 or 1/8 of its size by its \
decoder, which leaves at least 4 pixels for each that the model sees (`handler.images.preprocess.DETAIL`); unless a \
seventh of it is noise at the end of the range |
| orientation | EXIF orientation, or the `irot` and `imir` boxes of HEIF and AVIF, and nothing else; EXIF that is \
damaged, or larger than 1 MiB, has none |
| crop | the `clap` box of HEIF and AVIF |
| frames | the first one (GIF, WebP, TIFF, MPO, AVIF); of an APNG the picture that decoders without animation show |
| alpha | composed over white, in every form and depth; so is a canvas that the first frame does not cover |
| depth | the upper 8 bits are kept; `handler.images.tiff` has the scale of signed integers and floats |
| CMYK, YCbCr, Lab, 1 bit, palette | Pillow's conversion to RGB |
| ICC profiles | ignored, as in the reference pipelines that the models were trained and measured with |
| damage | whatever a checksum, the file's structure or the decoder shows is `corrupt_image`, nothing is guessed from \
half a file; damage that no pixel of the first picture depends on does not matter |
| whole, but of a kind that is not decoded | `unsupported_format`, which names the kind: camera raw, a JPEG process, \
a compression of TIFF |
| memory, time | a picture of `MAX_IMAGE_PIXELS` = 100 million takes less than 1 GiB and 5 s; see \
`handler.images.pixel_limits` for kinds that may have fewer or more |
"""

import logging
import warnings

from PIL import Image, UnidentifiedImageError

from handler.errors import RejectedError, Rejection
from handler.frozen import frozen
from handler.images.decoders import DECODERS
from handler.images.pixel_limits import Limits
from handler.images.sniff import sniff, sniff_or_refuse

# Sizes are checked here, against the setting, before anything is decoded.
Image.MAX_IMAGE_PIXELS = None

# What a decoder logs about a user's file is of no use to the function's operator.
logging.getLogger("PIL").addHandler(logging.NullHandler())
logging.getLogger("PIL").propagate = False

__all__ = ["Picture", "decode", "sniff"]


@frozen
class Picture:
    """A decoded picture.

    Attributes:
        image: upright, mode RGB; of a JPEG perhaps a half, a quarter or an eighth of its size.
        width: pixels, as shown.
        height: pixels, as shown.
        format: what the bytes are: `jpeg`, `png`, `webp`, `gif`, `bmp`, `tiff`, `avif`, `heic` or `heif`.
    """

    image: Image.Image
    width: int
    height: int
    format: str


def decode(data: bytes, max_pixels: int, enough: int | None = None) -> Picture:
    """Decode the first frame into an upright RGB picture.

    Args:
        data: the file.
        max_pixels: more are refused, `handler.images.pixel_limits`.
        enough: what the shortest side must keep where a decoder can leave detail out by itself, pixels; None: all.

    Raises:
        RejectedError: `unsupported_format`, `too_many_pixels` or `corrupt_image`.
    """
    name = sniff_or_refuse(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image, (width, height) = DECODERS[name](data, name, Limits(max_pixels, enough))
            return Picture(image, width, height, name)
    except (RejectedError, MemoryError, ImportError):
        raise  # the last two are no fault of the file's: another try may succeed
    except Exception as error:  # noqa: BLE001 - on hostile bytes Pillow's decoders raise whatever their parsers met
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        if isinstance(error, UnidentifiedImageError):
            reason = "its header does not parse"  # its own text names a buffer's address
        raise RejectedError(Rejection.CORRUPT_IMAGE, f"the {name} does not decode ({reason})") from None
