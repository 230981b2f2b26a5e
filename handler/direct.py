"""Direct invoke: request -> response. Imported only when such a request arrives, for pydantic's sake."""

import base64
import re
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Self

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from handler.errors import DropvecError, RejectedError, Rejection, RequestError, RetryableError
from handler.events import Job
from handler.pipeline import Pipeline, contained
from handler.record import MAX_KEY_BYTES, Embedding, file_entry
from handler.timing import START_SECONDS, Deadline, Stopwatch

MAX_FILES = 200

_BUCKET = re.compile(r"[A-Za-z0-9._-]{3,255}")
_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)


def _unicode(text: str) -> str:
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("half a surrogate pair is not text")
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
    normalize: bool | None = None
    output_paths: list[str] = Field(default=[], description="accepted, unused")
    store: bool = False

    @model_validator(mode="after")
    def _counts(self) -> Self:
        total = len(self.input_paths) + len(self.images)
        if not 1 <= total <= MAX_FILES:
            raise ValueError(f"input_paths and images together must be 1 to {MAX_FILES}, not {total}")
        if self.store and self.images:
            raise ValueError("store needs input_paths alone: an inline image has no s3:// source to be stored under")
        return self


def respond(body: object, pipeline: Pipeline, deadline: Deadline) -> dict[str, Any]:
    """Answer a direct request; never raises."""
    try:
        request = parse(body)
    except RequestError as error:
        return {"status": "error", "error": str(error), "error_code": error.code}
    # What is not begun in time is told so; what is cut off by the platform takes all the others with it.
    enough = min(START_SECONDS, deadline.left() / 2)
    wanted = pipeline.settings.normalize if request.normalize is None else request.normalize
    files = [
        _entry(path, partial(_embed_path, path, request, pipeline, deadline), deadline, enough, normalized=wanted)
        for path in request.input_paths
    ]
    files += [
        _entry(image.id, partial(_embed_image, image, pipeline), deadline, enough, normalized=wanted)
        for image in request.images
    ]
    response = {
        "status": "ok",
        "task_output": {
            "files": files,
            "total_files": len(files),
            "normalize": wanted,
            "model": pipeline.encoder.spec.name,
            "fingerprint": pipeline.encoder.spec.fingerprint,
        },
    }
    answer: dict[str, Any] = orjson.loads(orjson.dumps(response, option=orjson.OPT_SERIALIZE_NUMPY))
    return answer


def parse(body: object) -> Request:
    """Validate a request.

    Raises:
        RequestError: it does not validate; the text names each field and what is wrong with it.
    """
    try:
        return Request.model_validate(body)
    except ValidationError as error:
        faults = [
            ": ".join(filter(None, [".".join(map(str, fault["loc"])), fault["msg"].removeprefix("Value error, ")]))
            for fault in error.errors(include_url=False, include_input=False)[:5]
        ]
        got = f"an object with {sorted(map(str, body))[:8]}" if isinstance(body, dict) else type(body).__name__
        raise RequestError(f"{'; '.join(faults)} (got {got}; takes input_paths and/or images)") from None


def _embed_path(path: str, request: Request, pipeline: Pipeline, deadline: Deadline) -> Embedding:
    bucket, _, key = path.removeprefix("s3://").partition("/")
    if not path.startswith("s3://") or not _BUCKET.fullmatch(bucket) or not 1 <= len(key.encode()) <= MAX_KEY_BYTES:
        raise RequestError(f"{path[:200]!r} is not of the form s3://bucket/key")
    if not request.store:
        return pipeline.embed_object(bucket, key, deadline)
    outcome = pipeline.process(Job(bucket, key, sequencer=None), deadline)
    if outcome.embedding is None:
        raise outcome.error or RequestError(f"{path} is a folder marker or one of dropvec's own results")
    return outcome.embedding


def _embed_image(image: InlineImage, pipeline: Pipeline) -> Embedding:
    try:
        data = base64.b64decode(image.data, validate=True)
    except ValueError:
        raise RejectedError(Rejection.CORRUPT_IMAGE, "the data is not valid base64") from None
    return pipeline.embed_bytes(data, Stopwatch())


def _entry(
    name: str, embed: Callable[[], Embedding], deadline: Deadline, enough: float, *, normalized: bool
) -> dict[str, Any]:
    try:
        if deadline.left() <= max(0, enough):
            raise RetryableError("too little time is left in this invocation; ask for fewer files at once")
        found = contained(embed)
    except DropvecError as error:
        return file_entry(name, error, error.code)
    return file_entry(name, found.normalize() if normalized else found, None)
