"""The operations on vectors."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from infra.local.s3vectors.buckets import Index, Scope
from infra.local.s3vectors.errors import InvalidField, ValidationError
from infra.local.s3vectors.fields import Fields, Json
from infra.local.s3vectors.filters import Filter, read_filter
from infra.local.s3vectors.index import SINGLE_SEGMENT, Hit, KeyedVector, Segment
from infra.local.s3vectors.limits import (
    DELETE_VECTORS,
    GET_VECTORS,
    KEY_LENGTH,
    LIST_TOKEN_LENGTH,
    LIST_VECTORS,
    LIST_VECTORS_DEFAULT,
    PUT_VECTORS,
    QUERY_TOKEN_LENGTH,
    SEGMENT_COUNT,
    SEGMENT_INDEX,
    TOP_K,
)
from infra.local.s3vectors.metadata import check_metadata
from infra.local.s3vectors.references import index_ref
from infra.local.s3vectors.resources import MODE, MODES
from infra.local.s3vectors.rows import Vector, to_vector
from infra.local.s3vectors.state import State
from infra.local.s3vectors.tokens import decode_number, encode_token

if TYPE_CHECKING:
    from infra.common.vector_filter import Metadata


def put_vectors(state: State, scope: Scope, fields: Fields) -> Json:
    """Store vectors: all of them or, where one is invalid, none."""
    given = [(vector, _key(vector.text("key", KEY_LENGTH))) for vector in fields.structures("vectors", PUT_VECTORS)]
    index = state.buckets.index(index_ref(scope, fields))
    index.vectors.put([_record(index, vector, key, at) for at, (vector, key) in enumerate(given)])
    return {}


def get_vectors(state: State, scope: Scope, fields: Fields) -> Json:
    """The vectors of some keys. Keys that are not there are left out, and the order is not that of the request."""
    keys = [_key(key) for key in fields.texts("keys", GET_VECTORS, KEY_LENGTH)]
    index = state.buckets.index(index_ref(scope, fields))
    return {"vectors": _described(index.vectors.get(keys), fields)}


def delete_vectors(state: State, scope: Scope, fields: Fields) -> Json:
    """Remove the vectors of some keys, as far as they are there."""
    keys = [_key(key) for key in fields.texts("keys", DELETE_VECTORS, KEY_LENGTH)]
    state.buckets.index(index_ref(scope, fields)).vectors.delete(keys)
    return {}


def list_vectors(state: State, scope: Scope, fields: Fields) -> Json:
    """List the vectors of an index, or those of one of its segments, in pages."""
    size = fields.integer("maxResults", LIST_VECTORS) if "maxResults" in fields else LIST_VECTORS_DEFAULT
    segment = _segment(fields)
    index = state.buckets.index(index_ref(scope, fields))
    list_id = f"{index.identity}/{segment.position}/{segment.of}"
    after = None
    if "nextToken" in fields:
        after = decode_number(fields.text("nextToken", LIST_TOKEN_LENGTH), list_id)
    page = index.vectors.page(size, after, segment)
    token = {} if page.after is None else {"nextToken": encode_token(list_id, page.after)}
    return {"vectors": _described(page.records, fields)} | token


def query_vectors(state: State, scope: Scope, fields: Fields) -> Json:
    """The nearest vectors of a query vector, in pages of 100."""
    top = fields.integer("topK", TOP_K)
    values = fields.structure("queryVector").values("float32")
    if "queryMode" in fields and fields.choice("queryMode", MODES) != MODE:
        raise ValidationError.at("queryMode", f"queryMode must be {MODE} for an index whose mode is {MODE}")
    index = state.buckets.index(index_ref(scope, fields))
    vector = _query_vector(index, values)
    narrowed = read_filter(fields.members["filter"], frozenset(index.non_filterable)) if "filter" in fields else None
    hits, token = _hits(state, index, fields, _Query(vector, top, narrowed))
    more = {} if token is None else {"nextToken": token}
    return {"vectors": _described_hits(hits, fields), "distanceMetric": index.vectors.metric} | more


@dataclass(frozen=True)
class _Query:
    vector: Vector
    top: int
    narrowed: Filter | None

    def identity(self, index: Index, fields: Fields) -> str:
        """Equal for requests that a token of one of them may continue."""
        asked = orjson.dumps([index.identity, self.top, fields.members.get("filter")], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(asked + self.vector.tobytes()).hexdigest()


def _hits(state: State, index: Index, fields: Fields, query: _Query) -> tuple[Sequence[Hit], str | None]:
    identity = query.identity(index, fields)
    if "nextToken" in fields:
        return state.sessions.next_page(identity, fields.text("nextToken", QUERY_TOKEN_LENGTH))
    return state.sessions.first_page(identity, index.vectors.query(query.vector, query.top, query.narrowed))


def _record(index: Index, given: Fields, key: str, position: int) -> KeyedVector:
    vectors = index.vectors
    path = f"vectors[{position}]"
    values = given.structure("data").values("float32")
    try:
        vector = to_vector(values, vectors.dimension, vectors.metric)
        path += ".metadata"
        metadata: Metadata = {}
        if "metadata" in given:
            metadata = check_metadata(given.members["metadata"], frozenset(index.non_filterable))
    except ValidationError as error:
        message = f"Invalid record for key '{key}': {error.message}"
        raise ValidationError(message, InvalidField(path, error.message)) from None
    return KeyedVector(key, vector, metadata)


def _query_vector(index: Index, values: Sequence[object]) -> Vector:
    try:
        return to_vector(values, index.vectors.dimension, index.vectors.metric)
    except ValidationError as error:
        message = "Query vector contains invalid values or is invalid for this index"
        raise ValidationError(message, InvalidField("vector", f"Invalid input: {error.message}")) from None


def _segment(fields: Fields) -> Segment:
    given = [name in fields for name in ("segmentCount", "segmentIndex")]
    if not any(given):
        return SINGLE_SEGMENT
    if not all(given):
        raise ValidationError("Must specify both segmentCount and segmentIndex or neither")
    segment = Segment(fields.integer("segmentIndex", SEGMENT_INDEX), fields.integer("segmentCount", SEGMENT_COUNT))
    if segment.position >= segment.of:
        raise ValidationError.at("segmentIndex", "segmentIndex must be less than segmentCount")
    return segment


def _key(key: str) -> str:
    if len(key.encode()) > KEY_LENGTH[1]:
        raise ValidationError("Record key length exceeds the maximum allowed")
    return key


def _described(records: Sequence[KeyedVector], fields: Fields) -> list[Json]:
    data, metadata = fields.flag("returnData"), fields.flag("returnMetadata")
    return [
        {"key": record.key}
        | ({"data": {"float32": record.vector}} if data else {})
        | ({"metadata": record.metadata} if metadata and record.metadata else {})
        for record in records
    ]


def _described_hits(hits: Sequence[Hit], fields: Fields) -> list[Json]:
    distance, metadata = fields.flag("returnDistance"), fields.flag("returnMetadata")
    return [
        {"key": hit.key}
        | ({"distance": hit.distance} if distance else {})
        | ({"metadata": hit.metadata} if metadata and hit.metadata else {})
        for hit in hits
    ]
