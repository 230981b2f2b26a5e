"""A request that passed its route's checks."""

from collections.abc import Mapping
from typing import Any

from handler.api.http.multipart import Form
from handler.api.http.request import HttpRequest
from handler.frozen import frozen
from handler.timing import Deadline


@frozen
class Call:
    """A request with its validated parts.

    Attributes:
        request: as it came.
        parameters: of the path and the query, converted to their types.
        body: the JSON, or the fields of a form; None without a body.
        form: None if the body is not a form.
        deadline: when the answer must be given.
    """

    request: HttpRequest
    parameters: Mapping[str, Any]
    body: Any
    form: Form | None
    deadline: Deadline
