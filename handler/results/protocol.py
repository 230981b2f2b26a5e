"""The commit protocol: in which order JSON and item of a key are written, so that every key ends up right.

The rules, for any number of workers on one key, any of which may stop anywhere and run again:

- The item is the commit point. It is written on a condition (`handler.results.sequencing`) that only the newest event,
  or a worker that saw the current item, can meet.
- The JSON is written before the item names it. A tombstone is written before the JSONs of its key are deleted.
- A worker that deletes a JSON reads the item afterwards. If the item names what was deleted, the key is processed
  again.
- A worker that writes an item over another one, or beside a JSON that was there already, reads the JSON afterwards. If
  it is missing or does not match the item, it is written again.
- A worker that leaves the item as it is reads its JSON, too. If it is missing or does not match the item, the key is
  processed again: a worker that found something else than the item says can mend the JSON only with the item.
- A key that is processed again is compared and swapped, also by an event that is older than the item: it has read item
  and object afresh, and the item keeps the newer sequencer.
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

    An event's sequencer decides, without reading the item. A key that is processed again (`contended`), and a job
    without a sequencer, are compared and swapped.
    """
    sequencer = normalize_sequencer(job.sequencer) if job.sequencer else None
    if sequencer and not contended:
        return BySequencer(sequencer)
    return CompareAndSwap(store.read(job.bucket, job.key, deadline), sequencer)


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
            return Verdict.CURRENT
        created = self.store.write_result(self.record, self.deadline)
        watch.lap("write")
        answer = self.store.write_item(self.wire, self.condition, self.deadline)
        watch.lap("commit")
        if isinstance(answer, Committed):
            done = (created and not answer.replaced) or self._settle()
            return Verdict.CURRENT if done else Verdict.CHANGED
        if is_superseded(self.condition, answer.item):
            return Verdict.SUPERSEDED if self._give_way(answer.item, created=created) else Verdict.CHANGED
        return Verdict.CURRENT if self._stays(answer.item) else Verdict.CHANGED

    def _stays(self, item: StoredItem) -> bool:
        """Whether neither the item nor its JSON needs a change."""
        return is_current(item, self.wanted, self.condition) and self.store.result_matches(item, self.deadline)

    def _settle(self) -> bool:
        return self.store.settle_result(self.record, self.wanted, self.deadline)

    def _give_way(self, winner: StoredItem, *, created: bool) -> bool:
        """Leave no JSON behind that the newer item does not name; whether the one that it names matches it."""
        if winner.is_tombstone:
            return self.store.delete_results(self.record.bucket, self.record.key, self.deadline)
        unnamed = created and winner.result != self.wanted.result
        if unnamed and not self.store.delete_result(self.record, self.deadline):
            return False
        return self.store.result_matches(winner, self.deadline)


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
