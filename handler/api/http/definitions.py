"""The schemas of requests and answers: what validates requests is what `GET /openapi.json` shows."""

from collections.abc import Mapping
from typing import Any

from handler.api.http.schema import Schema
from handler.api.query import MAX_K, MAX_TERMS, MAX_TEXT_CHARACTERS
from handler.aws.sdk.s3vectors import MAX_DIMENSION

MAX_JOB_FILES = 100
MAX_INPUTS = 200
MIN_THUMBNAIL, MAX_THUMBNAIL, THUMBNAIL = 16, 1024, 320
UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
# The end of a text, in the regular expressions of JSON Schema and of Python, where `$` also matches before a line feed.
_END = r"$(?!\n)"
_MEDIA_TYPE = rf"^[A-Za-z0-9!#$&^_.+-]{{1,64}}/[A-Za-z0-9!#$&^_.+-]{{1,64}}{_END}"

_MAX_PRIORITY = 10
_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NULLABLE_TEXT: Schema = {"type": ["string", "null"]}
_NUMBERS: Schema = {"type": "array", "items": {"type": "number"}}


def closed(required: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    """An object without other properties than these."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def listed(items: Schema, least: int, most: int) -> Schema:
    """A list with a number of entries within limits."""
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def _term(name: str, schema: Schema) -> Schema:
    weight = {"type": "number", "description": "not 0; negative to search for the opposite", "default": 1}
    return closed((name,), weight=weight, **{name: schema})


TERMS: tuple[Schema, ...] = (
    _term("text", {"type": "string", "minLength": 1, "maxLength": MAX_TEXT_CHARACTERS}),
    _term("image", {"type": "string", "minLength": 1, "description": "base64, or a data URI"}),
    _term("source", {"type": "string", "minLength": 1, "description": "s3://bucket/key of an indexed object"}),
    _term("vector", listed({"type": "number"}, 1, MAX_DIMENSION)),
)

SEARCH_OPTIONS: Mapping[str, Schema] = {
    "k": {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_K, "default": 10, "description": "hits of a page"},
    "filter": {
        "type": ["object", "null"],
        "minProperties": 1,
        "description": "S3 Vectors' filter on bucket, key, format, labels, width, height, bytes, updated_at",
    },
    "min_score": {"type": ["number", "null"], "minimum": -1, "maximum": 1},
    "dedupe": {
        "type": ["number", "null"],
        "minimum": 0,
        "maximum": 1,
        "description": "of hits with at least this cosine only the best one stays",
    },
    "next": {"type": ["string", "null"], "minLength": 1, "description": "the token of the page before"},
}

SEARCH = closed(
    ("query",),
    query={"anyOf": [*TERMS, {"type": "array", "items": {"anyOf": list(TERMS)}, "minItems": 1, "maxItems": MAX_TERMS}]},
    **SEARCH_OPTIONS,
)


def _as_field(schema: Schema) -> Schema:
    """The schema of an option as a field of a form, which cannot be null."""
    (kind,) = (one for one in schema["type"] if one != "null")
    return {**schema, "type": kind}


_FILE: Schema = {"type": "string", "format": "binary", "description": "an image file"}

SEARCH_FORM = closed(
    ("file",),
    file=listed(_FILE, 1, MAX_TERMS),
    **{name: _as_field(schema) for name, schema in SEARCH_OPTIONS.items()},
)

JOB_FORM = closed(
    ("file",),
    file=listed(_FILE, 1, MAX_JOB_FILES),
    normalize={**_FLAG, "default": True, "description": "whether the vectors of the answer have length 1"},
    priority={
        "type": "integer",
        "minimum": 0,
        "maximum": _MAX_PRIORITY,
        "default": 0,
        "description": "kept with the files; every job starts at once",
    },
)

EMBEDDINGS = closed(
    ("input",),
    model={"type": "string", "description": "the stack's own model"},
    input={
        "anyOf": [
            {"type": "string", "minLength": 1, "description": "a text, or an image as a data URI"},
            listed({"type": "string", "minLength": 1}, 1, MAX_INPUTS),
        ]
    },
    modality={"type": "string", "enum": ["text", "image"]},
    encoding_format={"type": "string", "enum": ["float", "base64"], "default": "float"},
    dimensions={"type": "integer", "minimum": 1, "description": "the model's own number only"},
    user={**_TEXT, "description": "accepted, unused"},
)

UPLOAD = closed(
    ("filename", "content_type"),
    filename={"type": "string", "minLength": 1},
    content_type={"type": "string", "pattern": _MEDIA_TYPE},
)

ERROR = closed(
    ("status", "error", "error_code"), status={"type": "string", "enum": ["error"]}, error=_TEXT, error_code=_TEXT
)
LABEL = closed(("label", "score"), label=_TEXT, score={"type": "number"})
_LABELS: Schema = {"type": "array", "items": LABEL}

HIT = closed(
    ("source", "score", "labels", "duplicates"),
    source=_TEXT,
    score={"type": "number"},
    label_score={"type": "number"},
    labels=_LABELS,
    width={"type": ["integer", "null"]},
    height={"type": ["integer", "null"]},
    format=_NULLABLE_TEXT,
    updated_at=_NULLABLE_TEXT,
    result=_NULLABLE_TEXT,
    duplicates=_COUNT,
)
SEARCH_ANSWER = closed(
    ("status", "model", "fingerprint", "hits", "next"),
    status={"type": "string", "enum": ["ok"]},
    model=_TEXT,
    fingerprint=_TEXT,
    hits={"type": "array", "items": HIT},
    next=_NULLABLE_TEXT,
)
HEALTH = closed(
    ("status", "model", "fingerprint"), status={"type": "string", "enum": ["ok"]}, model=_TEXT, fingerprint=_TEXT
)

_VECTOR = closed(
    ("embedding", "embedding_dim", "normalized"), embedding=_NUMBERS, embedding_dim=_COUNT, normalized=_FLAG
)
FILE = closed(
    ("file_path", "embedding", "status", "error", "error_code"),
    file_path=_TEXT,
    embedding={"anyOf": [_VECTOR, {"type": "null"}]},
    status={"type": "string", "enum": ["success", "error"]},
    error=_NULLABLE_TEXT,
    error_code=_NULLABLE_TEXT,
    labels=_LABELS,
)
_JOB_ID: Schema = {"type": "string", "pattern": UUID}
JOB_CREATED = closed(("job_id", "status"), job_id=_JOB_ID, status={"type": "string", "enum": ["queued"]})
JOB = closed(
    ("job_id", "status", "task_output"),
    job_id=_JOB_ID,
    status={"type": "string", "enum": ["queued", "ok"]},
    task_output=closed(
        ("files", "total_files", "normalize"),
        files={"type": "array", "items": FILE, "description": "in the order of the request; only those that are done"},
        total_files=_COUNT,
        normalize=_FLAG,
    ),
)
EMBEDDINGS_ANSWER = closed(
    ("object", "data", "model", "usage"),
    object={"type": "string", "enum": ["list"]},
    data={
        "type": "array",
        "items": closed(
            ("object", "index", "embedding"),
            object={"type": "string", "enum": ["embedding"]},
            index=_COUNT,
            embedding={"anyOf": [_NUMBERS, {"type": "string", "description": "base64 of little-endian float32"}]},
        ),
    },
    model=_TEXT,
    usage=closed(("prompt_tokens", "total_tokens"), prompt_tokens=_COUNT, total_tokens=_COUNT),
)
UPLOAD_ANSWER = closed(
    ("url", "fields", "source", "max_bytes", "expires_in"),
    url=_TEXT,
    fields={"type": "object", "additionalProperties": _TEXT, "description": "send them before the field `file`"},
    source=_TEXT,
    max_bytes=_COUNT,
    expires_in={**_COUNT, "description": "seconds"},
)
ITEM: Schema = {
    "type": "object",
    "properties": {
        "source": _TEXT,
        "status": {"type": "string", "enum": ["success", "error"]},
        "etag": _TEXT,
        "model": _TEXT,
        "fingerprint": _TEXT,
        "embedding": _NUMBERS,
        "embedding_dim": _COUNT,
        "normalized": _FLAG,
        "norm": {"type": "number"},
        "width": _COUNT,
        "height": _COUNT,
        "bytes": _COUNT,
        "format": _TEXT,
        "labels": _LABELS,
        "result": _TEXT,
        "error_code": _TEXT,
        "error": _TEXT,
        "updated_at": _TEXT,
    },
    "required": ["source", "status"],
    "description": "an item of the table with all its attributes",
}
ITEMS = closed(("items", "next"), items={"type": "array", "items": ITEM}, next=_NULLABLE_TEXT)
IMAGE = closed(("url", "expires_in"), url=_TEXT, expires_in={**_COUNT, "description": "seconds"})

SCHEMAS: Mapping[str, Any] = {
    "Error": ERROR,
    "SearchRequest": SEARCH,
    "SearchAnswer": SEARCH_ANSWER,
    "JobCreated": JOB_CREATED,
    "Job": JOB,
    "EmbeddingsRequest": EMBEDDINGS,
    "EmbeddingsAnswer": EMBEDDINGS_ANSWER,
    "UploadRequest": UPLOAD,
    "UploadForm": UPLOAD_ANSWER,
    "Item": ITEM,
    "Items": ITEMS,
    "Image": IMAGE,
    "Health": HEALTH,
}
