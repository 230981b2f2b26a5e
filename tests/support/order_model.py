"""A state machine over uploads, deliveries and crashes. It checks that item and JSON always end at the current object.

Every AWS call of every worker waits at a gate, so hypothesis decides how the calls of all workers interleave, where a
worker crashes, and which answer is lost after the call was made. Sequencers, versions, delete markers and archive
restores are as in S3. Everything happens to one key, and each case begins with a short history of it, so that workers
collide often.
"""

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import orjson
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from handler.aws.clients import Clients
from handler.jobs import Job
from handler.model.encoder import Encoder
from handler.outcomes import Status
from handler.pipeline import Pipeline
from handler.results.sequencing import normalize_sequencer
from handler.results.store import Store
from handler.settings import Settings, read_settings
from handler.timing import Stopwatch
from tests.support.gated_worker import Gate, Gated, Worker
from tests.support.memory_aws import MemoryDynamoDB, MemoryS3, Version
from tests.support.order_histories import HISTORIES
from tests.support.pictures import encoded, picture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

UPLOADS, RESULTS, TABLE = "uploads", "results", "vectors"
KEY = "photos/a"
SOURCE = f"s3://{UPLOADS}/{KEY}"
CONTENTS = [encoded(picture(40, 30, seed=seed)) for seed in range(2)] + [b"no picture at all"]
MAX_WORKERS = 4
MAX_DELIVERIES = 300


class OrderMachine(RuleBasedStateMachine):
    """Puts, overwrites, deletes, restores; deliveries late, twice, at the same time, and cut off anywhere."""

    encoder: Encoder
    settings: Settings
    vectors: list[Any]

    def __init__(self) -> None:
        super().__init__()
        self.s3, self.dynamodb = MemoryS3(), MemoryDynamoDB()
        self.sequence = itertools.count(0x1000)
        self.clock = itertools.count()
        self.pending: list[Job] = []
        self.delivered: list[Job] = []
        self.workers: list[Worker] = []
        self.newest: str | None = None
        self.archived_later: list[Version] = []
        self.patience = 0

    @initialize(versioned=st.booleans(), history=st.sampled_from(HISTORIES), patience=st.sampled_from([4, 12, 99, 99]))
    def begin(self, versioned: bool, history: str, patience: int) -> None:
        if versioned:
            self.s3.versioned.add(UPLOADS)
        for step in history:
            self._replay(step)
        self.patience = patience

    def _replay(self, step: str) -> None:
        if step == ".":
            self._finish_all()
        elif step in "!wnv":
            self._work(step)
        elif step == "+":
            self.deliver_again(0)
            self._advance(self.workers[-1], 99)
        elif step.isdigit():
            self.deliver(len(self.pending) - 1)
            self._advance(self.workers[-1], 99 if step == "9" else int(step))
        else:
            self._change(step)

    def _work(self, step: str) -> None:
        if not self.workers:  # with versions, some collisions do not happen
            return
        worker = self.workers[0 if step == "w" else -1]
        if step == "v":
            self._advance(worker, 99)
        else:
            self._order(worker, "crash" if step == "!" else "go")

    def _advance(self, worker: Worker, calls: int) -> None:
        for _ in range(calls):
            if worker.alive:
                self._order(worker, "go")

    def _change(self, step: str) -> None:
        if step in "dD":
            self.delete(sequenced=step == "d")
        elif step in "pqPQ":
            self.put("pq".index(step.lower()), sequenced=step.islower())
        else:
            steps: Mapping[str, Callable[[], object]] = {
                "a": self.put_archived,
                "b": self.backfill,
                "c": lambda: self.delete_version(0),
                "r": self.restore,
                "s": self.archive,
            }
            steps[step]()

    @invariant()
    def lose_patience(self) -> None:
        """Count the steps: a short case keeps the collisions of its history."""
        self.patience = max(0, self.patience - 1)

    @precondition(lambda self: not self.patience)
    @rule()
    def wait(self) -> None:
        """Do nothing until the case ends."""

    # What the owner does to the bucket.

    def _happened(self, *, sequenced: bool) -> None:
        self._disturb()
        sequencer = None
        if sequenced:
            sequencer = f"{next(self.sequence):X}"
            self.newest = normalize_sequencer(sequencer)
        self.pending.append(Job(UPLOADS, KEY, sequencer))

    def _disturb(self) -> None:
        for worker in self.workers:
            worker.undisturbed = False

    @precondition(lambda self: self.patience)
    @rule(content=st.sampled_from([0, 0, 0, 1, 1, 2]), sequenced=st.sampled_from([True, True, False]))
    def put(self, content: int, sequenced: bool) -> None:
        self.s3.put(UPLOADS, KEY, CONTENTS[content], archived=False)
        self._happened(sequenced=sequenced)

    @precondition(lambda self: self.patience)
    @rule()
    def put_archived(self) -> None:
        self.s3.put(UPLOADS, KEY, CONTENTS[0], archived=True)
        self._happened(sequenced=True)

    @precondition(lambda self: self.patience)
    @rule(sequenced=st.sampled_from([True, True, False]))
    def delete(self, sequenced: bool) -> None:
        self.s3.delete_object(UPLOADS, KEY)
        self._happened(sequenced=sequenced)

    @precondition(lambda self: self.patience and len(self.s3.keys.get((UPLOADS, KEY), [])) > 1)
    @rule(which=st.integers(0, 9))
    def delete_version(self, which: int) -> None:
        versions = self.s3.keys[UPLOADS, KEY]
        versions.pop(-1 - which % len(versions))
        self._happened(sequenced=True)

    @precondition(lambda self: self.patience and self._current() is not None and self._current().archived)
    @rule()
    def restore(self) -> None:
        current = self._current()
        assert current is not None
        current.archived = False
        self._happened(sequenced=False)

    @precondition(lambda self: self.patience and self._current() is not None)
    @rule()
    def archive(self) -> None:
        """A lifecycle rule archives the object, or its restored copy expires: no event that the function gets."""
        current = self._current()
        if current is not None and not current.archived:
            self._disturb()
            current.archived = True
            self.archived_later.append(current)

    @precondition(lambda self: self.patience)
    @rule()
    def backfill(self) -> None:
        self.pending.append(Job(UPLOADS, KEY, None))

    # What the platform does with the events.

    @precondition(lambda self: self.patience and self.pending and len(self.workers) < MAX_WORKERS)
    @rule(which=st.integers(0, 9))
    def deliver(self, which: int) -> None:
        job = self.pending.pop(which % len(self.pending))
        self.delivered.append(job)
        self._start(job)

    @precondition(lambda self: self.patience and self.delivered and len(self.workers) < MAX_WORKERS)
    @rule(which=st.integers(0, 9))
    def deliver_again(self, which: int) -> None:
        self._start(self.delivered[-1 - which % len(self.delivered)])

    @precondition(lambda self: self.patience and self.workers)
    @rule(which=st.integers(0, 3), order=st.sampled_from(["go", "lose the answer", "crash"]))
    def let_one_call_pass(self, which: int, order: str) -> None:
        self._order(self.workers[which % len(self.workers)], order)

    @precondition(lambda self: self.patience and self.workers)
    @rule(which=st.integers(0, 3), calls=st.integers(1, 6))
    def let_calls_pass(self, which: int, calls: int) -> None:
        self._advance(self.workers[which % len(self.workers)], calls)

    @precondition(lambda self: self.patience and self.workers)
    @rule(which=st.integers(0, 3))
    def finish(self, which: int) -> None:
        self._advance(self.workers[which % len(self.workers)], 99)

    def _now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=next(self.clock))

    def _start(self, job: Job) -> None:
        self._disturb()
        gate = Gate()
        clients = Clients(s3=cast("Any", Gated(self.s3, gate)), dynamodb=cast("Any", Gated(self.dynamodb, gate)))
        store = Store(clients, self.settings, self._now)
        pipeline = Pipeline(self.settings, self.encoder, clients, store)
        self.workers.append(Worker(job, pipeline, gate, undisturbed=not self.workers, newer=self._newer(job)))

    def _newer(self, job: Job) -> dict[str, Any] | None:
        item = self._item()
        if not job.sequencer or normalize_sequencer(job.sequencer) >= item.get("sequencer", ""):
            return None
        return item if item["status"] == "deleted" or self._matches(item) else None

    def _order(self, worker: Worker, order: str) -> None:
        worker.order(order)
        if worker.alive:
            return
        self.workers.remove(worker)
        if worker.error is not None:
            raise AssertionError("a worker raised") from worker.error
        if worker.outcome is None or worker.outcome.status is Status.FAILED:
            error = worker.outcome.error if worker.outcome else None
            assert error is None or error.code == "unavailable", repr(error)
            self.pending.append(worker.job)
        elif worker.undisturbed:
            self._check_undisturbed(worker, worker.outcome.status)

    def _finish_all(self) -> None:
        deliveries = 0
        while self.workers or self.pending:
            while self.workers:
                self._order(self.workers[0], "go")
            if self.pending:
                deliveries += 1
                assert deliveries < MAX_DELIVERIES, "some event is never done"
                self.deliver(0)

    # What must be true.

    def _check_undisturbed(self, worker: Worker, status: Status) -> None:
        """A worker that ran alone has made item and JSON right by itself, whatever other events are still to come.

        If it was superseded, the item may describe an earlier object, or the JSON of a deleted object be gone.
        """
        item, current = self._item(), self._current()
        superseded = status is Status.SUPERSEDED
        assert worker.newer is None or (superseded and item == worker.newer)
        if current is None:
            assert superseded or item.get("status", "deleted") == "deleted", item
        elif not superseded or item["status"] != "deleted":
            assert self._matches(item)
            assert superseded or item["etag"] == current.etag.strip('"')

    def teardown(self) -> None:
        self._finish_all()
        item, current = self._item(), self._current()
        if current is None:
            assert item.get("status", "deleted") == "deleted", item
            assert self._results() == {}
        else:
            assert item, "an object without an item"
            self._check_describes(item, current)
        if self.newest is not None:
            assert item["sequencer"] == self.newest

    def _check_describes(self, item: dict[str, Any], current: Version) -> None:
        assert self._matches(item)
        unread = item.get("error_code") == "archived_object"
        assert item["etag"] == current.etag.strip('"')
        if unread:
            assert current.archived
            assert "version_id" not in item
            return
        if current.archived:  # without an event: what was read before may stay, also of a version with the same bytes
            assert any(current is version for version in self.archived_later)
            same = [each.id for each in self.s3.keys[UPLOADS, KEY] if each.etag == current.etag]
            assert item.get("version_id") in same
        else:
            assert item.get("version_id") == current.id
        if current.data == CONTENTS[-1]:
            assert item["error_code"] == "unsupported_format"
        else:
            expected = self._vectors_of(item["fingerprint"])[CONTENTS.index(current.data or b"")]
            assert np.array_equal(np.frombuffer(item["embedding"], dtype="<f4"), expected)
            result = self._results()[item["result"]]
            assert np.array_equal(np.array(result["embedding"]["embedding"], dtype=np.float32), expected)

    def _matches(self, item: dict[str, Any]) -> bool:
        """Whether the JSON that an item names is there and says what the item says."""
        result = self._results().get(item["result"], {})
        names = ("source", "status", "etag", "version_id", "fingerprint", "error_code")
        return all(result.get(name) == item.get(name) for name in names)

    def _vectors_of(self, fingerprint: str) -> list[Any]:
        assert fingerprint == self.encoder.spec.fingerprint
        return self.vectors

    def _current(self) -> Version | None:
        return self.s3.current(UPLOADS, KEY) if self.s3.exists(UPLOADS, KEY) else None

    def _item(self) -> dict[str, Any]:
        return {name: next(iter(value.values())) for name, value in self.dynamodb.items.get(SOURCE, {}).items()}

    def _results(self) -> dict[str, dict[str, Any]]:
        names = [entry.key for entry in self.s3.list_objects(RESULTS, "").entries]
        return {f"s3://{RESULTS}/{name}": orjson.loads(self.s3.get_object(RESULTS, name).data) for name in names}


def make_machine(encoder: Encoder) -> type[OrderMachine]:
    """A machine class that embeds with this encoder."""
    settings = read_settings({"RESULTS_BUCKET": RESULTS, "TABLE_NAME": TABLE})
    vectors = embedded(encoder, settings)
    return type("Machine", (OrderMachine,), {"encoder": encoder, "settings": settings, "vectors": vectors})


def embedded(encoder: Encoder, settings: Settings) -> list[Any]:
    """The vectors of the contents that can be embedded."""
    clients = Clients(s3=cast("Any", MemoryS3()), dynamodb=cast("Any", MemoryDynamoDB()))
    plain = Pipeline(settings, encoder, clients, Store(clients, settings))
    return [plain.embed_bytes(data, Stopwatch()).normalize().vector for data in CONTENTS[:-1]]
