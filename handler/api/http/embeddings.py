"""`POST /embeddings`: OpenAI's shape, for clients that speak it.

Source: https://platform.openai.com/docs/api-reference/embeddings/create
"""

import base64
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from handler.api.base64_data import decode_base64
from handler.api.http.call import Call
from handler.api.http.response import MAX_JSON_BYTES, HttpResponse, json_response
from handler.api.http.services import Services
from handler.errors import RequestError, RetryableError

if TYPE_CHECKING:
    from handler.model.encoder import Vector

_URL = re.compile(r"\s*[a-z][a-z0-9+.-]*://", re.IGNORECASE)

# The longest float32 in JSON with its separator; an entry's field names.
_NUMBER_BYTES, _ENTRY_BYTES = 17, 64


def create_embeddings(services: Services, call: Call) -> HttpResponse:
    """Embed texts or images; vectors have length 1.

    Raises:
        RequestError: another model or dimension is asked for, an image is no base64, or the answer would be too large.
        RejectedError: an image cannot be embedded.
        RetryableError: the time is over.
    """
    body = call.body
    _require_own_model(services, body)
    given = body["input"]
    inputs: list[str] = [given] if isinstance(given, str) else given
    as_base64 = body.get("encoding_format") == "base64"
    _require_size(len(inputs), services.identity.embedding_dim, as_base64=as_base64)
    vectors = [_vector(services, call, text, body.get("modality")) for text in inputs]
    return json_response(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": number, "embedding": _encoded(vector, as_base64=as_base64)}
                for number, vector in enumerate(vectors)
            ],
            "model": services.identity.name,
            "usage": {"prompt_tokens": 0, "total_tokens": 0},
        }
    )


def _require_own_model(services: Services, body: dict[str, Any]) -> None:
    name, dimension = services.identity.name, services.identity.embedding_dim
    if body.get("model", name) not in {name, services.identity.fingerprint}:
        raise RequestError(f"model is {body['model'][:60]!r}; this stack has {name!r}")
    if body.get("dimensions", dimension) != dimension:
        raise RequestError(f"dimensions is {body['dimensions']}; vectors of {name} have {dimension}")


def _require_size(count: int, dimension: int, *, as_base64: bool) -> None:
    entry = _ENTRY_BYTES + dimension * (6 if as_base64 else _NUMBER_BYTES)
    most = MAX_JSON_BYTES // entry
    if count > most:
        raise RequestError(f"input has {count} entries; the answer of this model fits at most {most}")


def _vector(services: Services, call: Call, text: str, modality: str | None) -> "Vector":
    if call.deadline.left() <= 0:
        raise RetryableError("the time is over; send fewer inputs at once")
    is_image = modality == "image" or (modality is None and text[:5].lower() == "data:")
    if is_image and _URL.match(text):
        raise RequestError("input is a URL, and nothing is fetched; send the image as a data URI")
    numbers = services.towers.embed_image(decode_base64(text)) if is_image else services.towers.embed_text(text)
    return _normalized(numbers)


def _normalized(numbers: Sequence[float]) -> "Vector":
    import numpy as np  # noqa: PLC0415 - the towers need it anyway

    from handler.results.record import Embedding  # noqa: PLC0415 - imports numpy

    return Embedding(np.array(numbers, np.float32), normalized=False).normalize().vector


def _encoded(vector: "Vector", *, as_base64: bool) -> object:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode() if as_base64 else vector
