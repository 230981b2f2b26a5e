"""Base64 as people send it: plain, URL-safe, wrapped into lines, without padding, or as a data URI."""

import base64
import binascii
import re

from handler.errors import RequestError

_DATA_URI = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_WHITE_SPACE = str.maketrans("", "", " \t\r\n")


def decode_base64(text: str) -> bytes:
    """Decode a file's bytes.

    Raises:
        RequestError: it is not base64, or it mixes both alphabets.
    """
    head = _DATA_URI.match(text)
    body = text[head.end() if head else 0 :].translate(_WHITE_SPACE).rstrip("=")
    if not body:
        raise RequestError("the image is empty; expected base64")
    url_safe = "-" in body or "_" in body
    if url_safe and ("+" in body or "/" in body):
        raise RequestError("the image mixes the standard and the URL-safe alphabet of base64")
    padded = body + "=" * (-len(body) % 4)
    try:
        return base64.b64decode(padded.encode("ascii"), altchars=b"-_" if url_safe else None, validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise RequestError("the image is not valid base64") from None
