"""Direct invoke: request -> response. Imported only when such a request arrives, because pydantic is slow to import."""

import base64
import json
import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Self

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from handler.concurrency import map_concurrently
from handler.errors import DropvecError, RejectedError, Rejection, RequestError, RetryableError
from handler.jobs import Job
from handler.log import with_typed_errors
from handler.model.encoder import Encoder
from handler.model.self_check import check
from handler.model.spec import require_text_tower
from handler.pipeline import Pipeline
from handler.results.keys import MAX_KEY_BYTES
from handler.results.record import Embedding, ImageEmbedding, file_entry
from handler.sizes import check_size
from handler.timing import MIN_START_SECONDS, Deadline, Stopwatch

if TYPE_CHECKING:
    from handler.model.text import TextEncoder

MAX_FILES = 200

# Lambda's limit, after which the whole answer is lost: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_ANSWER_BYTES = 6_291_556

# The longest float32 in JSON with its separator, such as `-1.23456789e-05, `; an entry's field names and error text; a
# label's field names and score.
_NUMBER_BYTES, _ENTRY_BYTES, _LABEL_BYTES = 17, 1024, 48

_BUCKET = re.compile(r"[A-Za-z0-9._-]{3,255}")
_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)


def _unicode(text: str) -> str:
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("the text is not valid Unicode (half a surrogate pair)")
    return text


Text = Annotated[str, AfterValidator(_unicode)]


class InlineImage(BaseModel):
    """An image inside the request."""

    model_config = _STRICT

    id: Text
    data: str = Field(description="base64")


class Request(BaseModel):
    """A direct request."""

    model_config = _STRICT

    input_paths: list[Text] = []
    images: list[InlineImage] = []
    texts: list[Text] = []
    normalize: bool | None = None
    output_paths: list[str] = Field(default=[], description="accepted, unused")
    store: bool = False
    check: bool = Field(default=False, description="verify the model; goes with no other field")

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if self.check:
            if self.model_fields_set != {"check"}:
                raise ValueError("check goes with no other field")
            return self
        total = len(self.input_paths) + len(self.images) + len(self.texts)
        if not 1 <= total <= MAX_FILES:
            raise ValueError(f"expected 1 to {MAX_FILES} input_paths, images and texts together, got {total}")
        if self.store and (self.images or self.texts):
            raise ValueError("store works with input_paths only: images and texts have no s3:// source")
        return self


def respond(body: object, pipeline: Pipeline, deadline: Deadline, request_id: str | None = None) -> dict[str, Any]:
    """Answer a direct request; never raises.

    Args:
        body: the request.
        pipeline: the function's parts.
        deadline: when the answer must be given.
        request_id: of the invocation; written as `event_id` of what is stored.
    """
    try:
        request = parse(body)
        if request.check:
            return with_typed_errors(lambda: check(pipeline.encoder))
        if request.texts:
            require_text_tower(pipeline.encoder.spec)
        check_answer_size(request, pipeline.encoder)
    except DropvecError as error:
        return {"status": "error", "error": str(error), "error_code": error.code}
    # A file that is not begun in time gets an error of its own; a time-out of the function would lose all of them.
    reserve = min(MIN_START_SECONDS, deadline.left() / 2)
    wanted = pipeline.settings.normalize if request.normalize is None else request.normalize
    store = partial(_store_path, pipeline=pipeline, deadline=deadline, request_id=request_id)
    fetch = partial(_fetch_path, pipeline=pipeline, deadline=deadline)
    work: list[tuple[str, Callable[[], Embedding]]] = [
        *((path, partial(store if request.store else fetch, path)) for path in request.input_paths),
        *((image.id, partial(_embed_image, image, pipeline)) for image in request.images),
        *_text_work(request.texts, pipeline),
    ]
    files = map_concurrently(lambda each: _entry(*each, deadline, reserve, normalized=wanted), work)
    output = {
        "files": files,
        "total_files": len(files),
        "normalize": wanted,
        "model": pipeline.encoder.spec.name,
        "fingerprint": pipeline.encoder.spec.fingerprint,
    }
    if request.texts:
        output["text_fingerprint"] = require_text_tower(pipeline.encoder.spec).fingerprint
    response = {"status": "ok", "task_output": output}
    answer: dict[str, Any] = orjson.loads(orjson.dumps(response, option=orjson.OPT_SERIALIZE_NUMPY))
    return answer


def parse(body: object) -> Request:
    """Validate a request.

    Raises:
        RequestError: it does not validate; the text names the fields and what is wrong with each.
    """
    try:
        return Request.model_validate(body)
    except ValidationError as error:
        problems = [
            ": ".join(filter(None, [".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, ")]))
            for each in error.errors(include_url=False, include_input=False)[:5]
        ]
        got = f"an object with {sorted(map(str, body))[:8]}" if isinstance(body, dict) else type(body).__name__
        raise RequestError(
            f"{'; '.join(problems)} (got {got}; expected input_paths, images, texts, or check)"
        ) from None


def check_answer_size(request: Request, encoder: Encoder) -> None:
    """Check that the answer to a request fits Lambda's limit, whatever the vectors are.

    Raises:
        RequestError: it may not; the text says how many files fit.
    """
    names = [*request.input_paths, *(image.id for image in request.images), *request.texts]
    entry = _ENTRY_BYTES + encoder.spec.embedding_dim * _NUMBER_BYTES
    if encoder.labels is not None:
        entry += encoder.labels.most * (_LABEL_BYTES + max(map(_json_bytes, encoder.labels.names)))
    entries = [entry + _json_bytes(name) for name in names]
    if sum(entries) + _ENTRY_BYTES > MAX_ANSWER_BYTES:
        fits = (MAX_ANSWER_BYTES - _ENTRY_BYTES) // max(entries)
        raise RequestError(
            f"the answer for {len(names)} files may have {sum(entries)} bytes; Lambda's limit is {MAX_ANSWER_BYTES}; "
            f"ask for at most {fits} files at once"
        )


def _json_bytes(text: str) -> int:
    return len(json.dumps(text))


def _text_work(texts: list[str], pipeline: Pipeline) -> list[tuple[str, Callable[[], Embedding]]]:
    """Load the text tower once for all texts, because that is slow; if it fails, each text gets the error."""
    if not texts:
        return []
    try:
        tower: TextEncoder | DropvecError = with_typed_errors(partial(_load_tower, pipeline))
    except DropvecError as error:
        tower = error
    return [(text, partial(_embed_text, text, tower)) for text in texts]


def _load_tower(pipeline: Pipeline) -> "TextEncoder":
    from handler.model.text import load_text_tower  # noqa: PLC0415 - the tokenizer is imported only for texts

    return load_text_tower(pipeline.encoder.bundle)


def _embed_text(text: str, tower: "TextEncoder | DropvecError") -> Embedding:
    if isinstance(tower, DropvecError):
        raise tower
    return Embedding(tower.embed([text])[0], normalized=False)


def _split(path: str) -> tuple[str, str]:
    bucket, _, key = path.removeprefix("s3://").partition("/")
    if not path.startswith("s3://") or not _BUCKET.fullmatch(bucket) or not 1 <= len(key.encode()) <= MAX_KEY_BYTES:
        raise RequestError(f"expected s3://bucket/key, got {path[:200]!r}")
    return bucket, key


def _fetch_path(path: str, pipeline: Pipeline, deadline: Deadline) -> ImageEmbedding:
    return pipeline.embed_object(*_split(path), deadline)


def _store_path(path: str, pipeline: Pipeline, deadline: Deadline, request_id: str | None) -> ImageEmbedding:
    outcome = pipeline.process(Job(*_split(path), sequencer=None, event_id=request_id), deadline)
    if outcome.embedding is None:
        raise outcome.error or RequestError(f"{path} is a folder marker or one of dropvec's own results; not stored")
    return outcome.embedding


def _embed_image(image: InlineImage, pipeline: Pipeline) -> ImageEmbedding:
    try:
        data = base64.b64decode(image.data, validate=True)
    except ValueError:
        raise RejectedError(Rejection.CORRUPT_IMAGE, "the data is not valid base64") from None
    check_size(len(data), pipeline.settings.max_image_bytes)
    return pipeline.embed_bytes(data, Stopwatch())


def _entry(
    name: str, embed: Callable[[], Embedding], deadline: Deadline, reserve: float, *, normalized: bool
) -> dict[str, Any]:
    try:
        if deadline.left() <= max(0, reserve):
            raise RetryableError("too little time is left in this invocation; ask for fewer files at once")
        found = with_typed_errors(embed)
        return file_entry(name, found.normalize() if normalized else found)
    except DropvecError as error:
        return file_entry(name, error)
