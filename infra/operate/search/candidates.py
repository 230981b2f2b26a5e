"""Keys that seem to differ, found in one pass over each of vectors, items and objects.

Memory grows by 8 bytes for each object, and with the number of keys that differ.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from handler.index.names import index_name, vector_key
from handler.results.item import StoredItem, read_item
from handler.results.keys import source_of
from infra.common.progress import meter
from infra.operate.backfill.objects import ListedObject
from infra.operate.scan import Scan, scan, table_size
from infra.operate.search.differences import compare_object, compare_vector, has_direction
from infra.operate.search.indexes import Indexes, WireVector
from infra.operate.search.items import read_items
from infra.operate.search.rebuild import source_of_vector
from infra.operate.search.uploads import Uploads
from infra.operate.stack import DeployedStack

_ATTRIBUTES = ("source", "status", "etag", "fingerprint", "embedding")

Digests = npt.NDArray[np.uint64]


@dataclass
class Candidates:
    """Keys that seem to differ.

    Attributes:
        sources: of these keys.
        vectors: how many were compared.
        items: how many were compared.
        objects: how many were compared.
    """

    sources: set[str] = field(default_factory=set)
    vectors: int = 0
    items: int = 0
    objects: int = 0


def find_candidates(stack: DeployedStack, indexes: Indexes) -> Candidates:
    """Pass over everything once."""
    found = Candidates()
    _compare_vectors(stack, indexes, found)
    uploads = Uploads.of(stack)
    known = _compare_objects(stack, uploads, found)
    _compare_items(stack, indexes, uploads, known, found)
    return found


def _compare_vectors(stack: DeployedStack, indexes: Indexes, found: Candidates) -> None:
    with meter("comparing vectors") as progress:
        for index in indexes.find_all():
            for page in indexes.pages(index.name, data=True, metadata=True):
                found.sources |= _differing(stack, index.name, page)
                found.vectors += len(page)
                progress.update(found.vectors, None, f"{len(found.sources):,} to read again")
        progress.update(found.vectors, None, last=True)


def _differing(stack: DeployedStack, index: str, page: Sequence[WireVector]) -> set[str]:
    vectors = {source: vector for vector in page if (source := source_of_vector(vector))}
    items = read_items(stack, list(vectors))
    return {
        source for source, vector in vectors.items() if any(compare_vector(source, items.get(source), index, vector))
    }


def _compare_objects(stack: DeployedStack, uploads: Uploads, found: Candidates) -> Digests:
    """Compare objects with items; the digests of all objects, sorted."""
    digests: list[Digests] = []
    with meter("comparing objects") as progress:
        for part in uploads.slices(stack):
            sources = [source_of(uploads.bucket, listed.key) for listed in part]
            found.sources |= _unlike_items(stack, dict(zip(sources, part, strict=True)))
            digests.append(_digests(sources))
            found.objects += len(part)
            progress.update(found.objects, None, f"{len(found.sources):,} to read again")
        progress.update(found.objects, None, last=True)
    return np.sort(np.concatenate([*digests, np.empty(0, dtype=np.uint64)]))


def _unlike_items(stack: DeployedStack, listed: dict[str, ListedObject]) -> set[str]:
    items = read_items(stack, list(listed), ["status", "etag"])
    return {source for source, each in listed.items() if any(compare_object(source, items.get(source), each.etag))}


def _compare_items(stack: DeployedStack, indexes: Indexes, uploads: Uploads, known: Digests, found: Candidates) -> None:
    estimate = table_size(stack).items
    with meter("comparing items") as progress:
        for page in scan(stack, Scan(_ATTRIBUTES)):
            items = [read_item(item) for item in page.items]
            found.sources |= _without_vector(indexes, items)
            found.sources |= _without_object(uploads, known, items)
            found.items += page.scanned
            progress.update(found.items, max(estimate, found.items), f"{len(found.sources):,} to read again")
        progress.update(found.items, found.items, last=True)


def _without_vector(indexes: Indexes, items: Iterable[StoredItem]) -> set[str]:
    """The items with a vector that the index of their model does not have."""
    missing: set[str] = set()
    expected: dict[str, dict[str, str]] = {}
    for item in items:
        if item.is_success and has_direction(item):
            expected.setdefault(index_name(item.fingerprint or ""), {})[vector_key(item.source)] = item.source
    for index, sources in expected.items():
        there = {vector["key"] for vector in indexes.get(index, list(sources))}
        missing |= {source for key, source in sources.items() if key not in there}
    return missing


def _without_object(uploads: Uploads, known: Digests, items: Iterable[StoredItem]) -> set[str]:
    """The items of the uploads bucket whose object was not listed."""
    sources = [item.source for item in items if not item.is_tombstone and uploads.has(item.source)]
    there = np.isin(_digests(sources), known)
    return {source for source, is_there in zip(sources, there, strict=True) if not is_there}


def _digests(sources: Sequence[str]) -> Digests:
    """64 bits of each source's SHA-256: beside a billion objects, one missing object of 18 billion is overlooked."""
    whole = b"".join(hashlib.sha256(source.encode()).digest()[:8] for source in sources)
    return np.frombuffer(whole, dtype=np.uint64)
