"""The objects that the API may reach: those of the uploads bucket whose keys match the stack's filters."""

import re

from handler.errors import MissingObjectError, RequestError
from handler.frozen import frozen
from handler.results.keys import MAX_KEY_BYTES, source_of
from handler.settings import HttpSettings

MAX_NAME_BYTES = 255

# Control characters, of which S3's XML and HTTP headers forbid most, and halves of surrogate pairs.
# `${filename}` in the key of a form is replaced by S3 with what the browser calls the file.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|\$(?=\{)")


@frozen
class Scope:
    """A bucket and the filters of its keys.

    Attributes:
        bucket: the uploads bucket.
        prefix: of every key.
        suffix: of every key.
    """

    bucket: str
    prefix: str
    suffix: str

    @classmethod
    def of(cls, settings: HttpSettings) -> "Scope":
        """The scope of a stack."""
        return cls(settings.uploads_bucket, settings.key_prefix, settings.key_suffix)

    def matches(self, key: str) -> bool:
        """Whether a key passes the filters."""
        fits = len(key) >= len(self.prefix) + len(self.suffix)
        return fits and key.startswith(self.prefix) and key.endswith(self.suffix)

    def contains(self, source: str) -> bool:
        """Whether an object is within it."""
        start = self.source("")
        return source.startswith(start) and self.matches(source.removeprefix(start))

    def key_of(self, source: str) -> str:
        """The key of an object within the scope.

        Raises:
            RequestError: it is no `s3://bucket/key`.
            MissingObjectError: it is outside; the text is that of an object without an item.
        """
        bucket, _, key = source.removeprefix("s3://").partition("/")
        if not source.startswith("s3://") or not bucket or not key:
            raise RequestError(f"source is {source[:60]!r}; expected s3://bucket/key")
        if not self.contains(source) or len(key.encode(errors="replace")) > MAX_KEY_BYTES:
            raise missing(source)
        return key

    def source(self, key: str) -> str:
        """The address of a key of the bucket."""
        return source_of(self.bucket, key)

    def new_key(self, folder: str, name: str) -> str:
        """The key of a new object.

        Args:
            folder: below the prefix, with a `/` at its end.
            name: a file's name.

        Raises:
            RequestError: the name lacks the suffix, or the key would be too long.
        """
        key = f"{self.prefix}{folder}{name}"
        if not name.endswith(self.suffix):
            raise RequestError(f"the file name {name[:60]!r} does not end with {self.suffix!r}, as this stack requires")
        if len(key.encode()) > MAX_KEY_BYTES:
            raise RequestError(f"the file name {name[:60]!r} is too long; S3's keys have at most {MAX_KEY_BYTES} bytes")
        return key


def missing(source: str) -> MissingObjectError:
    """The error of an object that has no item, or is outside what requests may see."""
    return MissingObjectError(f"{source[:200]} has no item in the table")


def file_name(text: str) -> str:
    """The last part of a path, with each unsafe character as `_`; `file` if nothing is left.

    Raises:
        RequestError: it is too long.
    """
    last = text.replace("\\", "/").rpartition("/")[2]
    name = _UNSAFE.sub("_", last).strip()
    if len(name.encode()) > MAX_NAME_BYTES:
        raise RequestError(f"a file name has more than {MAX_NAME_BYTES} bytes")
    return "file" if name in {"", ".", ".."} else name
