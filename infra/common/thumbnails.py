"""Thumbnails of pictures in S3 or on this machine, made in parallel."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from handler.errors import DropvecError
from handler.images.thumbnail import make_thumbnail
from handler.settings import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS
from handler.sizes import check_size
from infra.common.errors import OperatorError, first_line

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# The longest side of a thumbnail, in pixels; the page shows them at half of it, for screens of high density.
SIDE = 320
_QUALITY = 80
_WORKERS = 4

# `s3://bucket/key` -> the file's bytes; raises OperatorError.
ReadPicture = Callable[[str], bytes]


@dataclass(frozen=True)
class Thumbnail:
    """A small picture, or why there is none.

    Attributes:
        jpeg: the file; None if the picture cannot be shown.
        reason: why not.
    """

    jpeg: bytes | None
    reason: str = ""


def thumbnails(sources: Iterable[str], read: ReadPicture) -> dict[str, Thumbnail]:
    """The thumbnail of each picture, by source."""
    wanted = list(dict.fromkeys(sources))
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="thumbnail") as pool:
        return dict(zip(wanted, pool.map(lambda source: thumbnail(source, read), wanted), strict=True))


def thumbnail(source: str, read: ReadPicture) -> Thumbnail:
    """A picture's thumbnail; a picture that is gone or does not decode has a reason instead."""
    try:
        return Thumbnail(shrink(read(source), SIDE, _QUALITY))
    except (OperatorError, DropvecError) as error:
        return Thumbnail(None, first_line(error, 120))


def shrink(data: bytes, side: int, quality: int) -> bytes:
    """The picture of a file as a JPEG whose longest side has at most so many pixels, upright and without metadata.

    Raises:
        RejectedError: the bytes are not an image that dropvec reads, or too large.
    """
    check_size(len(data), MAX_IMAGE_BYTES)
    return make_thumbnail(data, MAX_IMAGE_PIXELS, side, quality)


def pictures_of_s3(client: "Callable[[], S3Client]") -> ReadPicture:
    """Read pictures from S3.

    Args:
        client: makes a client, or returns the same one.
    """

    def read(source: str) -> bytes:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - not part of the base installation

        bucket, _, key = source.removeprefix("s3://").partition("/")
        try:
            return client().get_object(Bucket=bucket, Key=key)["Body"].read()
        except (ClientError, BotoCoreError) as error:
            raise OperatorError(f"cannot be read from S3: {first_line(error, 80)}") from None

    return read


def pictures_of_folder(folder: Path) -> ReadPicture:
    """Read pictures from a local copy of the bucket: `s3://bucket/a/b.jpg` is `FOLDER/a/b.jpg`.

    Files outside the folder are never read, whatever the key is.
    """
    base = folder.resolve()

    def read(source: str) -> bytes:
        _, _, key = source.removeprefix("s3://").partition("/")
        path = (base / key.lstrip("/")).resolve()
        if not path.is_relative_to(base):
            raise OperatorError("its key leads out of the folder")
        try:
            return path.read_bytes()
        except OSError as error:
            raise OperatorError(f"cannot be read: {error.strerror}") from None

    return read
