"""Exact search in a file of vectors, without AWS: the search of the API over an index in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from handler.api.query import Picture, Text
from handler.api.search import Search
from handler.api.towers import Limits, Towers
from handler.aws.sdk.errors import ServiceError
from handler.aws.sdk.s3vectors import QueryPage
from handler.errors import DropvecError, MissingObjectError
from handler.index.metadata import NON_FILTERABLE
from handler.index.names import vector_key
from handler.model.identity import ModelIdentity, load_identity
from handler.settings import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS
from handler.timing import Deadline
from infra.common.duplicates import Vectors, unit_rows
from infra.common.errors import OperatorError
from infra.common.paths import shown
from infra.common.search_query import QueryOptions, check_request, request_body
from infra.common.search_results import print_hits, write_hits_page
from infra.common.thumbnails import ReadPicture
from infra.common.vector_filter import InvalidFilterError, parse_filter
from infra.offline.vector_file import VectorFile, load_vectors

if TYPE_CHECKING:
    from handler.results.item import StoredItem


@dataclass(frozen=True)
class FileSearch:
    """A search in a file.

    Attributes:
        query: the search.
        file: .parquet, .npz or .jsonl.
        model: name or bundle of the model for words and pictures; None for the one that the file names.
        fingerprint: which vectors of a file with several models; None where it has one.
        html: page to write; None for none.
        as_json: whether the caller prints JSON instead of the table.
    """

    query: QueryOptions
    file: Path
    model: str | None = None
    fingerprint: str | None = None
    html: Path | None = None
    as_json: bool = False


def search_file(search: FileSearch, read: ReadPicture) -> dict[str, Any]:
    """Search, print the hits or write the page, and return the answer.

    Raises:
        UsageError: the request is invalid.
        OperatorError: the file cannot be used, or the search fails.
    """
    body = request_body(search.query)
    answer = FileSearcher.load(search.file, search.model, search.fingerprint).answer(body)
    if search.html is not None:
        write_hits_page(answer, search.query.shown, search.html, read)
        print(f"Wrote {shown(search.html)}.")
    elif not search.as_json:
        print_hits(answer)
    return answer


@dataclass(frozen=True)
class FileSearcher:
    """A file that is loaded once and searched any number of times."""

    index: "FileIndex"
    model: "FileModel"
    path: Path

    @classmethod
    def load(cls, path: Path, model: str | None = None, fingerprint: str | None = None) -> "FileSearcher":
        """Load a file; the model is loaded when a query needs it.

        Raises:
            OperatorError: the file cannot be used.
        """
        vectors = load_vectors(path, fingerprint)
        return cls(FileIndex.of(vectors), FileModel(vectors, path, model), path)

    def answer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a request as the API does, with exact scores.

        Raises:
            UsageError: the request is invalid.
            OperatorError: the search fails.
        """
        request = check_request(body)
        if any(isinstance(term.subject, Text | Picture) for term in request.terms):
            self.model.check()
        search = Search(self.index, _NoItems(self.path), self.model)
        try:
            return search.answer(request, Deadline(float("inf")))
        except DropvecError as error:
            raise OperatorError(f"{error} ({error.code})") from None


@dataclass(frozen=True)
class FileIndex:
    """All vectors of a file, as `handler.api.search` sees an index; it searches exactly.

    Attributes:
        file: the vectors.
        units: (n, dim) float32, rows of length 1 or 0.
        rows: by key of the vector, its row.
    """

    file: VectorFile
    units: Vectors
    rows: Mapping[str, int]

    @classmethod
    def of(cls, file: VectorFile) -> "FileIndex":
        """Normalise the vectors, and compute their keys."""
        return cls(file, unit_rows(file.vectors), {vector_key(item.source): row for row, item in enumerate(file.items)})

    def get_vectors(self, index: str, keys: Sequence[str], *, data: bool, metadata: bool) -> list[dict[str, Any]]:
        """Those of the vectors that the file has."""
        del index, metadata  # the file is one index, and a search asks for metadata only when it queries
        rows = {key: self.rows[key] for key in keys if key in self.rows}
        return [
            {"key": key, "data": {"float32": self.units[row].tolist()}} if data else {"key": key}
            for key, row in rows.items()
        ]

    def query_vectors(
        self,
        index: str,
        vector: Sequence[float],
        top_k: int,
        filters: Mapping[str, Any] | None = None,
        token: str | None = None,
    ) -> QueryPage:
        """The nearest vectors, all on one page; of equal ones the first in the file.

        Raises:
            ServiceError: the filter is invalid, as S3 Vectors answers it.
        """
        del index, token
        (query,) = unit_rows(np.array([vector], dtype=np.float32))
        cosines = self.units @ query
        rows = _best(cosines, top_k) if filters is None else self._filtered(cosines, filters, top_k)
        return QueryPage(tuple(self._vector(int(row), float(cosines[row])) for row in rows), None)

    def _filtered(self, cosines: Vectors, filters: Mapping[str, Any], top_k: int) -> list[int]:
        try:
            matches = parse_filter(filters, NON_FILTERABLE).matches
        except InvalidFilterError as error:
            raise ServiceError("QueryVectors", 400, "ValidationException", str(error), {}) from None
        found: list[int] = []
        for row in np.argsort(-cosines, kind="stable"):
            if matches(self.file.metadata(int(row))):
                found.append(int(row))
                if len(found) == top_k:
                    break
        return found

    def _vector(self, row: int, cosine: float) -> dict[str, Any]:
        metadata = self.file.metadata(row)
        return {"key": vector_key(self.file.items[row].source), "distance": 1.0 - cosine, "metadata": metadata}


def _best(cosines: Vectors, count: int) -> npt.NDArray[np.intp]:
    """The rows with the greatest cosines, greatest first; of equal ones the first."""
    if count >= len(cosines):
        return np.argsort(-cosines, kind="stable")
    least = np.partition(cosines, len(cosines) - count)[len(cosines) - count]
    rows = np.flatnonzero(cosines >= least)
    return rows[np.argsort(-cosines[rows], kind="stable")][:count]


@dataclass(frozen=True)
class _NoItems:
    """The file has no item of an object that it has no vector of."""

    path: Path

    def read(self, source: str, deadline: Deadline) -> "StoredItem | None":
        del deadline
        raise MissingObjectError(f"{source} is not in {shown(self.path)}")


@dataclass(frozen=True)
class FileModel:
    """The model of the vectors in a file; its bundle is loaded for words and pictures only.

    Attributes:
        file: the vectors.
        path: of the file.
        name: name or bundle of the model; None for the one that the file names.
    """

    file: VectorFile
    path: Path
    name: str | None

    @property
    def identity(self) -> ModelIdentity:
        """The bundle's where it is loaded, else what the file says."""
        if "towers" in vars(self):
            return self.towers.identity
        return ModelIdentity(self.file.model, self.file.fingerprint, self.file.dim, has_text_tower=False)

    @cached_property
    def towers(self) -> Towers:
        """The bundle.

        Raises:
            OperatorError: there is no such bundle.
        """
        from infra.bake.reuse import bundle_for  # noqa: PLC0415 - imports onnxruntime

        try:
            bundle = bundle_for(self.name or self.file.model)
            return Towers(bundle, load_identity(bundle), Limits(MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS))
        except OperatorError as error:
            hint = "" if self.name else f"; give the bundle of the model {self.file.model} with --model"
            raise OperatorError(f"{error}{hint}") from None
        except DropvecError as error:
            raise OperatorError(str(error)) from None

    def check(self) -> None:
        """Check that the bundle is that of the vectors.

        Raises:
            OperatorError: it is not.
        """
        identity = self.towers.identity
        if identity.fingerprint != self.file.fingerprint:
            raise OperatorError(
                f"{shown(self.path)} has vectors of the model {self.file.model} with the fingerprint "
                f"{self.file.fingerprint[:8]}, and the bundle {identity.name} has {identity.fingerprint[:8]}: they "
                "cannot be compared; give the right bundle with --model"
            )

    def embed_text(self, words: str) -> Sequence[float]:
        """The vector of a text."""
        return self.towers.embed_text(words)

    def embed_image(self, data: bytes) -> Sequence[float]:
        """The vector of an image file."""
        return self.towers.embed_image(data)

    def label_vector(self, labels: Sequence[str]) -> Sequence[float]:
        """The vector to search with for objects that have one of the labels."""
        self._require_labels()
        return self.towers.label_vector(labels)

    def vocabulary(self) -> Any:  # noqa: ANN401 - Vocabulary, whose module is imported when it is needed
        """The words of a model without a text tower."""
        return self.towers.vocabulary()

    def _require_labels(self) -> None:
        if all(item.labels is None for item in self.file.items):
            raise OperatorError(
                f"{shown(self.path)} has no labels, by which words of this model are searched: search by image or "
                "source, or use the results.jsonl of `demo`"
            )
