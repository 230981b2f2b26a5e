"""What a file is, by its first bytes; its name and content type are never looked at."""

from handler.errors import RejectedError, Rejection

_HEAD_BYTES = 64

_MAGICS = {
    "jpeg": (b"\xff\xd8\xff",),
    "png": (b"\x89PNG\r\n\x1a\n",),
    "gif": (b"GIF87a", b"GIF89a"),
    "bmp": (b"BM",),
    "tiff": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
}

# Brands of ISO 14496-12 `ftyp` boxes; the first line that fits names the format.
_BRANDS = {
    "avif": {b"avif", b"avis"},
    "heic": {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"},
    "heif": {b"mif1", b"mif2", b"msf1"},
}

# What people upload that is refused: at which offset it has which bytes, and its name.
_REFUSED = (
    (4, b"ftypcrx ", "a camera raw (CR3)"),
    (0, b"FUJIFILMCCD-RAW", "a camera raw (RAF)"),
    (0, b"IIRO", "a camera raw (ORF)"),
    (0, b"IIRS", "a camera raw (ORF)"),
    (0, b"MMOR", "a camera raw (ORF)"),
    (0, b"IIU\0", "a camera raw (RW2)"),
    (0, b"\0MRM", "a camera raw (MRW)"),
    (0, b"FOVb", "a camera raw (X3F)"),
    (6, b"HEAPCCDR", "a camera raw (CRW)"),
    (0, b"\0\0\0\x0cJXL \r\n", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  \r\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"II\xbc", "JPEG XR"),
    (0, b"8BPS", "Photoshop's own format"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"qoif", "QOI"),
    (0, b"\0\0\1\0", "an icon"),
    (0, b"DDS ", "DDS"),
    (0, b"%PDF", "PDF"),
    (0, b"<svg", "SVG"),
    (0, b"<?xml", "XML"),
)


def sniff(data: bytes) -> str | None:
    """Name the image format by its first bytes; None when it is none of ours."""
    head = data[:_HEAD_BYTES]
    for name, magics in _MAGICS.items():
        if head.startswith(magics):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        end = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}
        return next((name for name, known in _BRANDS.items() if brands & known), None)
    return None


def sniff_or_refuse(data: bytes) -> str:
    """Name the image format.

    Raises:
        RejectedError: `unsupported_format`, naming what it is where that is known.
    """
    name = sniff(data)
    if name is None:
        known = next((what for at, magic, what in _REFUSED if data.startswith(magic, at)), None)
        found = f"is {known}" if known else f"starts with {data[:8]!r}"
        raise RejectedError(Rejection.UNSUPPORTED_FORMAT, f"not an image that dropvec reads: {found}")
    return name
