"""All routes of the API: what each takes, what it answers, and which function does it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import field
from functools import cache

from handler.api.http import definitions
from handler.api.http.call import Call
from handler.api.http.embeddings import create_embeddings
from handler.api.http.gallery import page
from handler.api.http.images import image
from handler.api.http.items import items
from handler.api.http.jobs import create_job, read_job
from handler.api.http.response import HttpResponse, json_response
from handler.api.http.schema import Schema
from handler.api.http.search import search
from handler.api.http.services import Services
from handler.api.http.thumbnails import thumbnail
from handler.api.http.uploads import create_upload
from handler.frozen import frozen

JSON, FORM = "application/json", "multipart/form-data"

Run = Callable[[Services, Call], HttpResponse]


@cache
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))


@frozen
class Parameter:
    """A parameter of the query, or of the path where the path names it.

    Attributes:
        name: of the parameter.
        schema: of its value; the default applies where it is absent.
        description: for people.
        is_required: whether the query must have it.
    """

    name: str
    schema: Schema
    description: str
    is_required: bool = False


@frozen
class Answer:
    """A successful answer.

    Attributes:
        description: for people.
        media_type: of its body; None without one.
        schema: the name of the schema of a JSON body.
    """

    description: str
    media_type: str | None = JSON
    schema: str | None = None


@frozen
class Route:
    """A route.

    Attributes:
        method: `GET` or `POST`.
        path: with parameters in braces.
        name: identifies it, in the log and in generated clients.
        summary: for people.
        run: answers a request.
        answers: by status.
        errors: the statuses of errors that only some routes have.
        parameters: of the path and the query.
        bodies: the schema of the body by content type.
        is_public: whether it needs no token.
    """

    method: str
    path: str
    name: str
    summary: str
    run: Run
    answers: Mapping[int, Answer]
    errors: tuple[int, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    bodies: Mapping[str, Schema] = field(default_factory=dict)
    is_public: bool = False

    @property
    def pattern(self) -> re.Pattern[str]:
        """Matches the paths of this route; the groups are the path's parameters."""
        return _pattern(self.path)

    @property
    def path_names(self) -> frozenset[str]:
        """The names of the path's parameters."""
        return frozenset(self.pattern.groupindex)


def health(services: Services, _: Call) -> HttpResponse:
    """That the function answers, and with which model."""
    identity = services.identity
    return json_response({"status": "ok", "model": identity.name, "fingerprint": identity.fingerprint})


def document(_: Services, __: Call) -> HttpResponse:
    """The OpenAPI document."""
    from handler.api.http.openapi import openapi  # noqa: PLC0415 - describes these routes

    return json_response(openapi())


_SOURCE: Schema = {"type": "string", "minLength": 1}
_SIZE: Schema = {
    "type": "integer",
    "minimum": definitions.MIN_THUMBNAIL,
    "maximum": definitions.MAX_THUMBNAIL,
    "default": definitions.THUMBNAIL,
}
_TEXT: Schema = {"type": "string"}
_KNOWN = Answer("The browser has it already.", media_type=None)

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/jobs/clip_embedding",
        "createJob",
        "Embed files: they are stored as uploads and can be searched.",
        create_job,
        {202: Answer("The files are in the bucket.", schema="JobCreated")},
        errors=(422,),
        bodies={FORM: definitions.JOB_FORM},
    ),
    Route(
        "GET",
        "/jobs/{job_id}",
        "readJob",
        "The job's status, and the vectors of the files that are done.",
        read_job,
        {200: Answer("The job.", schema="Job")},
        errors=(404,),
        parameters=(Parameter("job_id", _TEXT, "a job's id", is_required=True),),
    ),
    Route(
        "POST",
        "/search",
        "search",
        "Find objects by words, pictures, examples or vectors.",
        search,
        {200: Answer("A page of hits.", schema="SearchAnswer")},
        errors=(404, 409, 422),
        bodies={JSON: definitions.SEARCH, FORM: definitions.SEARCH_FORM},
    ),
    Route(
        "POST",
        "/embeddings",
        "createEmbeddings",
        "Embed texts or images; OpenAI's request and answer.",
        create_embeddings,
        {200: Answer("The vectors, of length 1.", schema="EmbeddingsAnswer")},
        errors=(422,),
        bodies={JSON: definitions.EMBEDDINGS},
    ),
    Route(
        "POST",
        "/uploads",
        "createUpload",
        "A form to upload one file to S3 with, of up to the stack's MaxImageBytes.",
        create_upload,
        {200: Answer("The form.", schema="UploadForm")},
        bodies={JSON: definitions.UPLOAD},
    ),
    Route(
        "GET",
        "/items",
        "readItems",
        "The item of an object, or a page of items in the order of their keys.",
        items,
        {200: Answer("With source: the item. Otherwise: a page.", schema="ItemOrItems")},
        errors=(404,),
        parameters=(
            Parameter("source", _SOURCE, "s3://bucket/key"),
            Parameter("prefix", _TEXT, "items whose keys begin with it"),
            Parameter("next", _SOURCE, "the token of the page before"),
        ),
    ),
    Route(
        "GET",
        "/images",
        "readImage",
        "The original: a redirect to S3, or the address as JSON if the header Accept names application/json.",
        image,
        {
            200: Answer("The address.", schema="Image"),
            302: Answer("A redirect to the original.", media_type=None),
        },
        errors=(404,),
        parameters=(Parameter("source", _SOURCE, "s3://bucket/key", is_required=True),),
    ),
    Route(
        "GET",
        "/thumbnails",
        "readThumbnail",
        "A small JPEG of an object.",
        thumbnail,
        {200: Answer("The picture.", "image/jpeg"), 304: _KNOWN},
        errors=(404, 422),
        parameters=(
            Parameter("source", _SOURCE, "s3://bucket/key", is_required=True),
            Parameter("size", _SIZE, "pixels of the longest side"),
        ),
    ),
    Route(
        "GET",
        "/health",
        "readHealth",
        "Whether the function answers, and its model.",
        health,
        {200: Answer("It does.", schema="Health")},
        is_public=True,
    ),
    Route(
        "GET",
        "/openapi.json",
        "readDocument",
        "This document.",
        document,
        {200: Answer("OpenAPI 3.1.")},
        is_public=True,
    ),
    Route(
        "GET",
        "/",
        "readPage",
        "The gallery.",
        page,
        {200: Answer("The page.", "text/html"), 304: _KNOWN},
        is_public=True,
    ),
)


@frozen
class Match:
    """What a path matches.

    Attributes:
        route: of the path and the method; None if there is none.
        parameters: of the path.
        methods: all that the path has.
    """

    route: Route | None
    parameters: Mapping[str, str]
    methods: tuple[str, ...]


def find_route(method: str, path: str) -> Match:
    """The route of a request; a path without parameters comes before one with them, as OpenAPI has it."""
    matching = [(route, found) for route in ROUTES if (found := route.pattern.fullmatch(path))]
    matching = [(route, found) for route, found in matching if route.path == path] or matching
    methods = tuple(sorted({route.method for route, _ in matching}))
    for route, found in matching:
        if route.method == method:
            return Match(route, found.groupdict(), methods)
    return Match(None, {}, methods)
