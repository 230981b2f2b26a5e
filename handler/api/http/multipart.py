"""A body of `multipart/form-data` -> fields and files, within limits. Imports the package `multipart` when needed."""

from handler.errors import RequestError
from handler.frozen import frozen

MAX_PARTS = 1000
MAX_FIELD_BYTES = 64 * 1024
_MAX_HEADER_BYTES = 4096
_CHUNK_BYTES = 1 << 16


@frozen
class FormFile:
    """A file of a form.

    Attributes:
        name: as the sender gives it: any text.
        data: the bytes.
        content_type: as the sender gives it; empty without one.
    """

    name: str
    data: bytes
    content_type: str


@frozen
class Form:
    """A form.

    Attributes:
        fields: the texts of each name, in their order.
        files: those of the field `file`, in their order.
    """

    fields: dict[str, list[str]]
    files: tuple[FormFile, ...]


def read_form(content_type: str, body: bytes) -> Form:
    """Parse a form.

    Args:
        content_type: the header, with the boundary.
        body: the whole body.

    Raises:
        RequestError: it is malformed or incomplete, or has too many parts or too large fields.
    """
    from multipart import MultipartError, parse_options_header  # noqa: PLC0415 - for such a body only

    try:
        boundary = parse_options_header(content_type)[1].get("boundary", "")
        return _read(boundary, body)
    except (MultipartError, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())[:100]
        raise RequestError(f"the body is not a valid multipart/form-data: {text}") from None


def _read(boundary: str, body: bytes) -> Form:
    from multipart import MultipartSegment, PushMultipartParser  # noqa: PLC0415 - as above

    if not boundary:
        raise RequestError("the content type multipart/form-data has no boundary")
    fields: dict[str, list[str]] = {}
    files: list[FormFile] = []
    segment: MultipartSegment | None = None
    parts: list[bytes] = []
    limits = {"max_segment_count": MAX_PARTS, "max_header_size": _MAX_HEADER_BYTES}
    with PushMultipartParser(boundary, content_length=len(body), **limits) as parser:
        for start in range(0, len(body), _CHUNK_BYTES):
            for event in parser.parse(body[start : start + _CHUNK_BYTES]):
                if isinstance(event, MultipartSegment):
                    segment, parts = event, []
                elif event:
                    parts.append(bytes(event))
                elif segment is not None:
                    _add(segment, b"".join(parts), fields, files)
    return Form(fields, tuple(files))


def _add(segment: "object", data: bytes, fields: dict[str, list[str]], files: list[FormFile]) -> None:
    name, file_name, content_type = (getattr(segment, each) for each in ("name", "filename", "content_type"))
    if name == "file":
        if file_name is None:
            raise RequestError("file is a text; send it as a file, with a file name")
        if data or file_name:  # a browser sends an empty part for a file input without a file
            files.append(FormFile(file_name, data, content_type or ""))
        return
    if len(data) > MAX_FIELD_BYTES:
        raise RequestError(f"the field {name[:40]!r} has more than {MAX_FIELD_BYTES} bytes")
    fields.setdefault(name, []).append(data.decode())
