"""One search: request -> query vector -> hits -> answer."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from handler.api.hits import Hit, by_label, in_order, read_hits
from handler.api.pages import MAX_ANSWER_BYTES, Page, next_token, page_of, shortened
from handler.api.query import Picture, RawVector, SearchRequest, Source, Subject, Text
from handler.api.vectors import Numbers, query_vector
from handler.aws.retries import attempt
from handler.aws.sdk.errors import ServiceError
from handler.aws.sdk.s3vectors import MAX_GET_KEYS, MAX_TOP_K, QueryPage
from handler.errors import MissingObjectError, NotIndexedError, RequestError, RetryableError
from handler.frozen import frozen
from handler.index.names import index_name, vector_key
from handler.model.identity import ModelIdentity
from handler.results.item import StoredItem
from handler.timing import Deadline

if TYPE_CHECKING:
    from handler.model.vocabulary import Vocabulary

_MISSING, _INVALID = "NotFoundException", frozenset({"ValidationException", "SerializationException"})


class Vectors(Protocol):
    """What a search asks of the vectors: two calls of `handler.aws.sdk.s3vectors`, or an exact search in a file."""

    def get_vectors(self, index: str, keys: Sequence[str], *, data: bool, metadata: bool) -> list[dict[str, Any]]:
        """Those of the vectors that exist."""

    def query_vectors(
        self,
        index: str,
        vector: Sequence[float],
        top_k: int,
        filters: Mapping[str, Any] | None = None,
        token: str | None = None,
    ) -> QueryPage:
        """A page of the nearest vectors."""


class Items(Protocol):
    """What a search asks of the table."""

    def read(self, source: str, deadline: Deadline) -> StoredItem | None:
        """An object's item; None where there is none."""


class Model(Protocol):
    """What a search asks of the bundle."""

    @property
    def identity(self) -> ModelIdentity:
        """Its name, fingerprint and dimension."""

    def embed_text(self, words: str) -> Numbers:
        """The vector of a text."""

    def embed_image(self, data: bytes) -> Numbers:
        """The vector of an image file."""

    def label_vector(self, labels: Sequence[str]) -> Numbers:
        """The vector to search with for objects that have one of the labels."""

    def vocabulary(self) -> "Vocabulary":
        """The words of a model without a text tower."""


@frozen
class Search:
    """Searches the index of one model.

    Attributes:
        s3vectors: the client of the stack's vector bucket.
        items: reads the table.
        towers: the bundle: its name, fingerprint and vocabulary, and its towers, each loaded when it is first needed.
    """

    s3vectors: Vectors
    items: Items
    towers: Model

    def answer(self, request: SearchRequest, deadline: Deadline, max_bytes: int = MAX_ANSWER_BYTES) -> dict[str, Any]:
        """The hits of the page that a request asks for.

        Args:
            request: the request.
            deadline: when the answer must be given.
            max_bytes: of the hits in JSON; a page with more is shortened.

        Raises:
            RequestError: the query cannot be searched for; its subclasses say why.
            RejectedError: a picture of the query cannot be embedded.
            MissingObjectError: a source of the query has no item.
            NotIndexedError: a source of the query has an item, and no vector in this index.
            RetryableError: S3 Vectors or DynamoDB failed.
        """
        model = self.towers.identity
        page = page_of(request, model.fingerprint)
        labels = self._labels(request)
        if labels:
            hits = self._hits_of_labels(labels, request, deadline)
        else:
            vector = query_vector(request.terms, lambda subject: self._vector(subject, deadline), model.embedding_dim)
            excluded = {vector_key(term.subject.address) for term in request.terms if isinstance(term.subject, Source)}
            wanted = min(page.stop + len(excluded) + 1, MAX_TOP_K)
            found = self._query(vector, wanted, request.filter, deadline)
            hits = [hit for hit in found if hit.key not in excluded]
        if request.min_score is not None:
            hits = [hit for hit in hits if hit.rank >= request.min_score]
        page = shortened(page, hits, max_bytes)
        return {
            "status": "ok",
            "model": model.name,
            "fingerprint": model.fingerprint,
            "hits": [hit.to_json() for hit in self._page(hits, page, request.dedupe, deadline)],
            "next": next_token(page, request, model.fingerprint) if len(hits) > page.stop else None,
        }

    def _labels(self, request: SearchRequest) -> tuple[str, ...]:
        """The labels to search for, where the query is a word of a model without a text tower; none otherwise."""
        words = [term for term in request.terms if isinstance(term.subject, Text)]
        if not words or self.towers.identity.has_text_tower:
            return ()
        vocabulary = self.towers.vocabulary()
        if len(request.terms) > 1 or words[0].weight < 0:
            raise RequestError(
                "this model has no text tower: a word is searched for alone and with a positive weight, not in a sum"
            )
        (subject,) = (term.subject for term in words)
        return vocabulary.labels_of(subject.words) if isinstance(subject, Text) else ()

    def _hits_of_labels(self, labels: Sequence[str], request: SearchRequest, deadline: Deadline) -> list[Hit]:
        """All objects that have one of the labels, best label score first."""
        has_label = {"labels": {"$in": list(labels)}}
        filters = {"$and": [has_label, request.filter]} if request.filter else has_label
        return by_label(self._query(self.towers.label_vector(labels), MAX_TOP_K, filters, deadline), labels)

    def _vector(self, subject: Subject, deadline: Deadline) -> Numbers:
        match subject:
            case Text(words):
                return self.towers.embed_text(words)
            case Picture(data):
                return self.towers.embed_image(data)
            case RawVector(numbers):
                return numbers
            case Source(address):
                return self._indexed_vector(address, deadline)

    def _indexed_vector(self, source: str, deadline: Deadline) -> Numbers:
        found = self._get_vectors([vector_key(source)], deadline)
        if found:
            (numbers,) = found.values()
            return numbers
        item = self.items.read(source, deadline)
        if item is None or item.is_tombstone:
            raise MissingObjectError(f"{source} has no item in the table")
        if not item.is_success:
            raise NotIndexedError(f"{source} was rejected ({item.error_code}), so it has no vector")
        raise NotIndexedError(f"{source} is not in the index of this model yet")

    def _get_vectors(self, keys: Sequence[str], deadline: Deadline) -> dict[str, Numbers]:
        """The vectors of those keys that are in the index, by key."""
        get = partial(self.s3vectors.get_vectors, self._index, keys, data=True, metadata=False)
        try:
            found = attempt(get, deadline, expected={_MISSING})
        except ServiceError:  # this model has no index yet
            return {}
        return {vector["key"]: vector["data"]["float32"] for vector in found}

    def _query(
        self, vector: Sequence[float], wanted: int, filters: Mapping[str, Any] | None, deadline: Deadline
    ) -> list[Hit]:
        hits: list[Hit] = []
        token: str | None = None
        while True:
            query = partial(self.s3vectors.query_vectors, self._index, vector, wanted, filters, token)
            try:
                page = attempt(query, deadline, expected={_MISSING, *_INVALID})
            except ServiceError as error:
                if error.code == _MISSING:  # this model has no index yet
                    return []
                raise _invalid(error, filters) from None
            hits += read_hits(page.vectors)
            token = page.next_token
            if token is None or len(hits) >= wanted:
                return in_order(hits)
            if deadline.left() <= 0:
                raise RetryableError(f"the time is over, with {len(hits)} of up to {wanted} hits read; ask for fewer")

    def _page(self, hits: Sequence[Hit], page: Page, dedupe: float | None, deadline: Deadline) -> Sequence[Hit]:
        shown = hits[page.start : page.stop]
        if dedupe is None or len(shown) < 2:
            return shown
        vectors: dict[str, Numbers] = {}
        for start in range(0, len(shown), MAX_GET_KEYS):
            vectors |= self._get_vectors([hit.key for hit in shown[start : start + MAX_GET_KEYS]], deadline)
        from handler.api.similar import fold_duplicates  # noqa: PLC0415 - imports numpy

        return fold_duplicates(shown, vectors, dedupe)

    @property
    def _index(self) -> str:
        return index_name(self.towers.identity.fingerprint)


def _invalid(error: ServiceError, filters: Mapping[str, Any] | None) -> RequestError:
    part = "query" if filters is None else "filter"  # of a query with a filter, all else was checked before
    return RequestError(f"S3 Vectors refuses the {part}: {' '.join(error.message.split())[:300]}")
