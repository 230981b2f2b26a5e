"""Where indexes differ from what the table says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from handler.index.names import index_name, vector_key
from handler.results.item import StoredItem


@dataclass(frozen=True)
class Held:
    """A vector in an index: of which picture, and its bytes, float32."""

    etag: str | None
    data: bytes


def divergences(items: Mapping[str, StoredItem], indexes: Mapping[str, Mapping[str, Held]]) -> Iterator[str]:
    """Every difference, as a text.

    Args:
        items: by source.
        indexes: by name, the vectors by key.
    """
    wanted = {vector_key(source): item for source, item in items.items() if item.is_success}
    for key, item in wanted.items():
        own = indexes.get(index_name(item.fingerprint or ""), {})
        if own.get(key) != Held(item.etag, item.embedding or b""):
            yield f"{item.source}: its own index has {own.get(key)}, and its item {item}"
    for name, vectors in indexes.items():
        for key, held in vectors.items():
            if key not in wanted:
                yield f"{name} has a vector of {key}, which has no success in the table"
            elif held.etag != wanted[key].etag:
                yield f"{name} has a vector of another picture of {wanted[key].source}"
