"""Changes of items -> what each index is to hold: pure, and the same however often a batch is applied."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from handler.index.names import index_name, vector_key
from handler.index.stream import Change
from handler.results.item import StoredItem


@dataclass(frozen=True, slots=True)
class Plan:
    """What a batch of changes asks of the indexes.

    Attributes:
        puts: by index, the items whose vectors it is to hold.
        deletes_everywhere: keys of vectors that no index is to hold.
        deletes_elsewhere: by key of the vector, the one index that may hold it.
    """

    puts: Mapping[str, list[StoredItem]]
    deletes_everywhere: list[str]
    deletes_elsewhere: Mapping[str, str]

    @property
    def deletes(self) -> bool:
        """Whether anything is to be deleted, for which the indexes must be listed."""
        return bool(self.deletes_everywhere or self.deletes_elsewhere)

    def deletes_of(self, index: str) -> list[str]:
        """The keys to delete from one index."""
        elsewhere = [key for key, kept in self.deletes_elsewhere.items() if kept != index]
        return self.deletes_everywhere + elsewhere


def plan_of(changes: Iterable[Change]) -> Plan:
    """Plan a batch: the last change of a key decides, beside what the item was before the batch.

    A success goes into the index of its fingerprint. Unless its ETag is that of the item before, the other indexes hold
    the vector of another picture, so the key leaves them. Rejected, deleted and removed items leave every index.
    """
    puts: dict[str, list[StoredItem]] = {}
    everywhere: list[str] = []
    elsewhere: dict[str, str] = {}
    for change in _collapsed(changes):
        key = vector_key(change.source)
        new = change.new
        if new is None or not new.is_success:
            everywhere.append(key)
            continue
        index = index_name(new.fingerprint or "")
        puts.setdefault(index, []).append(new)
        if change.old is None or not change.old.is_success or change.old.etag != new.etag:
            elsewhere[key] = index
    return Plan(puts, everywhere, elsewhere)


def _collapsed(changes: Iterable[Change]) -> Iterable[Change]:
    """One change for each key: from before its first to after its last."""
    found: dict[str, Change] = {}
    for change in changes:
        first = found.get(change.source)
        found[change.source] = change if first is None else Change(change.source, first.old, change.new)
    return found.values()
