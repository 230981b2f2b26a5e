"""What the cutting functions hand to the decoders."""

from handler.frozen import frozen


@frozen
class Frame:
    """The file of the first picture alone.

    Attributes:
        data: a file that the format's decoder reads.
        exif: its EXIF block; empty where it has none. The file itself has none.
    """

    data: bytes
    exif: bytes = b""
