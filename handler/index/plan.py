"""Changes of items -> what each index is to hold: pure, and the same however often a batch is applied."""

from collections.abc import Iterable, Mapping

from handler.frozen import frozen
from handler.index.names import index_name, vector_key
from handler.index.stream import Change
from handler.results.item import StoredItem


@frozen
class Plan:
    """What a batch of changes asks of the indexes.

    Attributes:
        puts: by index, the items whose vectors it is to hold.
        deletes_everywhere: keys of vectors that no index is to hold.
        deletes_elsewhere: by key of the vector, the one index that may hold it.
        checks_elsewhere: by key of the vector, its item in `puts`; another index may hold a vector of the same ETag.
    """

    puts: Mapping[str, list[StoredItem]]
    deletes_everywhere: list[str]
    deletes_elsewhere: Mapping[str, str]
    checks_elsewhere: Mapping[str, StoredItem]

    @property
    def needs_indexes(self) -> bool:
        """Whether the indexes must be listed: whether vectors are to be deleted from those that are not in `puts`."""
        return bool(self.deletes_everywhere or self.deletes_elsewhere or self.checks_elsewhere)

    def deletes_of(self, index: str) -> list[str]:
        """The keys to delete from one index."""
        elsewhere = [key for key, kept in self.deletes_elsewhere.items() if kept != index]
        return self.deletes_everywhere + elsewhere

    def checks_of(self, index: str) -> Mapping[str, str | None]:
        """By key, the ETag of the only vector that one index may hold; vectors of other ETags are to be deleted."""
        items = self.checks_elsewhere.items()
        return {key: item.etag for key, item in items if index_name(item.fingerprint or "") != index}


def plan_of(changes: Iterable[Change]) -> Plan:
    """Plan a batch: the last change of a key decides, beside what the item was before the batch.

    A success goes into the index of its fingerprint. Unless its ETag is that of the item before, the other indexes hold
    the vector of another picture, so the key leaves them. If the item was touched, an earlier change may have failed
    for so long that it was given up, so the ETags in the other indexes are compared. Rejected, deleted and removed
    items leave every index.
    """
    puts: dict[str, list[StoredItem]] = {}
    everywhere: list[str] = []
    elsewhere: dict[str, str] = {}
    checks: dict[str, StoredItem] = {}
    for change in _merged(changes):
        key = vector_key(change.source)
        new = change.new
        if new is None or not _has_vector(new):
            everywhere.append(key)
            continue
        index = index_name(new.fingerprint or "")
        puts.setdefault(index, []).append(new)
        if change.old is None or not _has_vector(change.old) or change.old.etag != new.etag:
            elsewhere[key] = index
        elif change.touched:
            checks[key] = new
    return Plan(puts, everywhere, elsewhere, checks)


def _has_vector(item: StoredItem) -> bool:
    return item.is_success and bool(item.fingerprint and item.embedding)


def _merged(changes: Iterable[Change]) -> Iterable[Change]:
    """One change for each key: from before its first to after its last."""
    found: dict[str, Change] = {}
    for change in changes:
        first = found.get(change.source)
        if first is not None:
            change = Change(change.source, first.old, change.new, touched=first.touched or change.touched)  # noqa: PLW2901
        found[change.source] = change
    return found.values()
