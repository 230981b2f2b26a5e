"""The commit protocol: in which order JSON and item of a key are written, so that every key ends up right.

The rules, for any number of workers on one key, any of which may stop anywhere and run again:

- The item is the commit point. It is written on a condition (`handler.results.sequencing`) that only the newest event,
  or a worker that saw the current item, can meet.
- The JSON is written before the item names it. A tombstone is written before the JSONs of its key are deleted.
- Whoever deletes a JSON reads the item afterwards; if the item names what was deleted, the key is processed again.
- Whoever writes an item over another one, or beside a JSON that was there already, looks at the JSON afterwards: a
  deletion that began earlier may have taken it, or it may say something else.
"""

from enum import Enum, auto

from handler.errors import Rejection
from handler.frozen import frozen
from handler.jobs import Job
from handler.results.item import StoredItem, WireItem, read_item, says_the_same
from handler.results.keys import source_of
from handler.results.record import Record
from handler.results.sequencing import BySequencer, CompareAndSwap, WriteCondition, is_superseded, normalize_sequencer
from handler.results.store import Committed, Refused, Store
from handler.timing import Deadline, Stopwatch


class Verdict(Enum):
    """What became of an attempt to commit."""

    CURRENT = auto()  # item and JSON say what was found
    SUPERSEDED = auto()  # the item belongs to a newer event
    CHANGED = auto()  # the item changed meanwhile: process the key again


def choose_condition(store: Store, job: Job, deadline: Deadline, *, contended: bool) -> WriteCondition:
    """The condition on which a job's outcome will be written, chosen before the object is read.

    An event's sequencer decides, without reading the item. Where that was not enough (`contended`), or there is no
    sequencer, the job compares and swaps.
    """
    by_sequencer = BySequencer(normalize_sequencer(job.sequencer)) if job.sequencer else None
    if by_sequencer and not contended:
        return by_sequencer
    seen = store.read(job.bucket, job.key, deadline)
    if by_sequencer is None:
        return CompareAndSwap(seen)
    if seen is not None and is_superseded(by_sequencer, seen):
        return by_sequencer
    return CompareAndSwap(seen, by_sequencer.sequencer)


def is_current(item: StoredItem, wanted: StoredItem, condition: WriteCondition) -> bool:
    """Whether an item needs no change: it says already what would be written.

    Two items stay although something else was found: what a repeated event was committed with, and what is known of an
    object that was archived afterwards (a restored copy expires; the bytes are the same).
    """
    if (item.sequencer, item.etag, item.fingerprint) != (wanted.sequencer, wanted.etag, wanted.fingerprint):
        return False
    if item.error_code != wanted.error_code:
        return condition.event is not None or wanted.error_code == Rejection.ARCHIVED_OBJECT
    return says_the_same(item, wanted)


def commit_record(
    store: Store, record: Record, condition: WriteCondition, deadline: Deadline, watch: Stopwatch
) -> Verdict:
    """Make a record the JSON and the item of its key."""
    wire = store.item_of(record, condition.sequencer)
    return _Commit(store, record, wire, read_item(wire), condition, deadline).run(watch)


@frozen
class _Commit:
    """One record and the item that is made of it."""

    store: Store
    record: Record
    wire: WireItem
    wanted: StoredItem
    condition: WriteCondition
    deadline: Deadline

    def run(self, watch: Stopwatch) -> Verdict:
        seen = self.condition.seen
        if seen is not None and self._stays(seen):
            return self._keep(seen)
        created = self.store.write_result(self.record, self.deadline)
        watch.lap("write")
        answer = self.store.write_item(self.wire, self.condition, self.deadline)
        watch.lap("commit")
        if isinstance(answer, Committed):
            return Verdict.CURRENT if created and not answer.replaced else self._settle()
        if is_superseded(self.condition, answer.item):
            return self._give_way(answer.item, created=created)
        return self._keep(answer.item) if self._stays(answer.item) else Verdict.CHANGED

    def _stays(self, item: StoredItem) -> bool:
        """Whether an item needs no change. Where it says something else, only its worker could write its JSON again."""
        if not is_current(item, self.wanted, self.condition):
            return False
        return item.error_code == self.wanted.error_code or self.store.has_result(item, self.deadline)

    def _settle(self) -> Verdict:
        settled = self.store.settle_result(self.record, self.wanted, self.deadline)
        return Verdict.CURRENT if settled else Verdict.CHANGED

    def _keep(self, item: StoredItem) -> Verdict:
        """Leave an item as it is; its JSON can be checked only if the item says what was found."""
        return self._settle() if item.error_code == self.wanted.error_code else Verdict.CURRENT

    def _give_way(self, winner: StoredItem, *, created: bool) -> Verdict:
        """Leave no JSON behind that the newer item does not name."""
        if winner.is_tombstone:
            done = self.store.delete_results(self.record.bucket, self.record.key, self.deadline)
        elif created and not says_the_same(winner, self.wanted):
            done = self.store.delete_result(self.record, self.deadline)
        else:
            done = True
        return Verdict.SUPERSEDED if done else Verdict.CHANGED


def commit_tombstone(store: Store, job: Job, condition: WriteCondition, deadline: Deadline) -> Verdict:
    """Make a tombstone the item of a key without an object, and delete the JSONs of the key.

    A key that never had an item gets none, unless an event says that it had an object.
    """
    if condition == CompareAndSwap(None):
        return Verdict.CURRENT
    wire = store.tombstone_of(source_of(job.bucket, job.key), condition.sequencer, job.event_id)
    answer = store.write_item(wire, condition, deadline)
    verdict = Verdict.CURRENT
    if isinstance(answer, Refused):
        if not is_superseded(condition, answer.item):
            return Verdict.CHANGED
        verdict = Verdict.SUPERSEDED
        if not answer.item.is_tombstone:
            return verdict
    # Also under a newer tombstone: an earlier delivery of this event may have written a JSON after that one's clean-up.
    return verdict if store.delete_results(job.bucket, job.key, deadline) else Verdict.CHANGED
